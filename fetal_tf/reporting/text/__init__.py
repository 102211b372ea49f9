"""Results of studies as text for the screen, as Markdown and as JSON."""
