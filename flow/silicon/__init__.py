"""What generated Verilog takes of a chip, and how fast it is: sums of cells, a timing model, placement and routing."""
