"""Parts of the report that belong to one kind of task."""
