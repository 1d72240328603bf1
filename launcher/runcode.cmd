@echo off
rem runcode-launcher for Windows. As launcher/runcode, which has the reasons: RUNCODE_BIN, the cached binary, a
rem runcode.exe on PATH, a download. The warm start needs no PowerShell: size, modification time (cmd.exe shows
rem minutes only) and the pinned asset's hash are compared with what runcode.ps1 last found right by a full hash.
setlocal EnableExtensions DisableDelayedExpansion
set "rc_bin=%RUNCODE_BIN%"
if defined rc_bin goto own

set "rc_version="
set /p rc_version=<"%~dp0RUNCODE_VERSION"
set "rc_pinned=%rc_version%"
if defined RUNCODE_PIN_VERSION call :pinned || exit /b 2
set "rc_arch=amd64"
if /i "%PROCESSOR_ARCHITECTURE%"=="ARM64" set "rc_arch=arm64"
if /i "%PROCESSOR_ARCHITEW6432%"=="ARM64" set "rc_arch=arm64"
set "rc_cache=%LOCALAPPDATA%\runcode"
if defined XDG_CACHE_HOME if "%XDG_CACHE_HOME:~1,2%"==":\" set "rc_cache=%XDG_CACHE_HOME%\runcode"
if defined RUNCODE_CACHE set "rc_cache=%RUNCODE_CACHE%"
set "rc_bin=%rc_cache%\bin\runcode-%rc_version%-windows-%rc_arch%.exe"

rem What must hold for a quick start: `<asset hash> <size> <time>`.
set "rc_expected=another-release"
if "%rc_version%"=="%rc_pinned%" set "rc_expected="
if "%rc_version%"=="%rc_pinned%" for /f "usebackq eol=# tokens=1,2" %%A in ("%~dp0..\checksums.txt") do (
    if "%%B"=="runcode_windows_%rc_arch%.zip" set "rc_expected=%%A"
)
if not defined rc_expected goto path
if not exist "%rc_bin%" goto path
call :now
set "rc_seen="
if exist "%rc_bin%.quick" set /p rc_seen=<"%rc_bin%.quick"
setlocal EnableDelayedExpansion
if "!rc_seen!"=="!rc_now!" goto quick
endlocal
set "RUNCODE_LAUNCHER_STEP=verify"
call :powershell 2>nul && goto note

:path
for %%F in (runcode.exe) do set "rc_found=%%~$PATH:F"
if not defined rc_found goto fetch
set "rc_bin=%rc_found%"
goto start

:fetch
set "RUNCODE_LAUNCHER_STEP=fetch"
call :powershell || exit /b 1

:note
call :now
>"%rc_bin%.quick" echo %rc_now%
goto start

:quick
endlocal
goto start

:own
set "rc_kind="
for %%F in ("%rc_bin%") do set "rc_full=%%~fF"
for %%F in ("%rc_bin%") do set "rc_kind=%%~aF"
for %%F in ("%~dp0..\bin\runcode.cmd") do set "rc_shim=%%~fF"
if /i "%rc_full%"=="%~f0" goto circle
if /i "%rc_full%"=="%rc_shim%" goto circle
if not defined rc_kind goto nothing
if "%rc_kind:~0,1%"=="d" goto nothing
set "rc_bin=%rc_full%"

rem The line is expanded before it runs: the program sees none of the names above, and the caller none of ours.
:start
endlocal & setlocal & set "RUNCODE_LAUNCHER=%~f0" & "%rc_bin%" %*
exit /b %ERRORLEVEL%

:now
for %%F in ("%rc_bin%") do set "rc_now=%rc_expected% %%~zF %%~tF"
exit /b 0

rem The tag becomes part of a path, and of lines of this file: it is looked at before any line is made of it. Without the
rem characters that a tag may have, in either case, nothing of it is left; and a letter or a digit comes first.
:pinned
setlocal EnableDelayedExpansion
set "rc_rest=!RUNCODE_PIN_VERSION!"
set "rc_plain=abcdefghijklmnopqrstuvwxyz0123456789._+-/"
:strip
set "rc_rest=!rc_rest:%rc_plain:~0,1%=!"
set "rc_plain=%rc_plain:~1%"
if not defined rc_rest goto stripped
if not "%rc_plain%"=="/" goto strip
goto tag
:stripped
for %%C in (. _ + -) do if "!RUNCODE_PIN_VERSION:~0,1!"=="%%C" goto tag
endlocal & set "rc_version=%RUNCODE_PIN_VERSION%"
exit /b 0

:powershell
"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe" -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "%~dp0runcode.ps1"
if errorlevel 1 exit /b 1
if not exist "%rc_bin%" exit /b 1
exit /b 0

:tag
>&2 echo runcode: RUNCODE_PIN_VERSION is not a release tag
>&2 echo hint: set it to a tag such as v1.2.3, or unset it
exit /b 2

:circle
>&2 echo runcode: RUNCODE_BIN leads back to this launcher: %rc_full%
>&2 echo hint: set RUNCODE_BIN to a runcode binary, or unset it
exit /b 2

:nothing
>&2 echo runcode: RUNCODE_BIN is not a program: %rc_bin%
>&2 echo hint: set RUNCODE_BIN to a runcode binary, or unset it
exit /b 2
