"""Samples, splits and credits. Readers, audits, phantoms and the pipeline are folders here."""
