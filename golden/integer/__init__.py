"""The arithmetic contract and the integer network. NumPy only: no float and no torch on this path.

`arithmetic` holds every rounding and saturation of the project as a named function. The hardware's
`model()` methods, the compiler, the simulators and the tests call these; the fast evaluator and the
quantizer's simulation compute the same in floats and are tested against them.
"""
