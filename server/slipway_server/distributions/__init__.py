"""What values the model sees and gives: counted, to be compared with a reference."""
