"""Compiler: an integer network and a configuration become a program, its constants and a memory map.

`compile_network` is the way in; `CompiledProgram` is what it returns, saves and loads.
"""

from triovit.compiler.compile import compile_network
from triovit.compiler.errors import CompileError
from triovit.compiler.memory.program import CompiledProgram

__all__ = ["CompileError", "CompiledProgram", "compile_network"]
