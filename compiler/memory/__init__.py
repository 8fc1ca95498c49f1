"""What a program puts into memory: layouts of tensors, packed constants, and the program with its file."""
