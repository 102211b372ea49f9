"""Studies as text: for the screen, as Markdown, as JSON trees."""
