"""Metrics: arrays in, numbers out. They read no files and know no models."""
