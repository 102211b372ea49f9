"""Samples, splits and credits; readers, audits, phantoms and the pipeline have their folders."""
