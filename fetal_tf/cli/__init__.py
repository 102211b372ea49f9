"""What the commands share: launching, options, and commands without a file of their own."""
