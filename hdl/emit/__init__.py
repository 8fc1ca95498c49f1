"""From a component to Verilog with one module per kind."""
