"""Images and pixel sizes in; files and folders out, which are whole or absent."""
