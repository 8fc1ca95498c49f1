"""A report about a quantized network: data, plots, and one self-contained HTML file."""
