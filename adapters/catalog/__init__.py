"""What models cost, and who else serves them."""
