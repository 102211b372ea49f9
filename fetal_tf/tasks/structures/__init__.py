"""The task of exclusive structures inside the fetal head, and what it fits and limits."""
