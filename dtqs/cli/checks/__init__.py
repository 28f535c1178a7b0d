"""The checks of `dtqs doctor`: one module per part of the system, one function per check."""
