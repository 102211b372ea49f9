"""Bundles: exported models with all that using them rightly needs, verified when opened."""
