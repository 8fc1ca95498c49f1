"""The command line `triovit`: generate, quantize, compile, run, compare, disassemble, doctor."""
