@rem runcode-launcher shim: the launcher itself is ..\launcher\runcode.cmd.
@"%~dp0..\launcher\runcode.cmd" %*
