"""What is measured, runnable by anyone with one command each; README.md says how to read it."""
