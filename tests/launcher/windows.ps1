# The Windows launchers where Windows is: cmd.exe, Windows PowerShell 5.1 and PowerShell 7, with a release served over
# file. Needs target\debug\runcode.exe. Runs in CI only; tests/launcher/windows.py has what wine can show of cmd.exe.
$ErrorActionPreference = 'Stop'
$root = Split-Path -Parent (Split-Path -Parent $PSScriptRoot)
$stage = Join-Path ([IO.Path]::GetTempPath()) ('launcher ' + [guid]::NewGuid())
$failed = 0
$plugin = Join-Path $stage 'plug in'
$release = Join-Path $stage 'release'
$null = New-Item -ItemType Directory -Path $plugin, $release
foreach ($part in 'launcher', 'bin') { Copy-Item -Recurse (Join-Path $root $part) $plugin }

$asset = if ("$env:PROCESSOR_ARCHITECTURE" -eq 'ARM64') { 'runcode_windows_arm64.zip' } else { 'runcode_windows_amd64.zip' }
Compress-Archive -Path (Join-Path $root 'target\debug\runcode.exe') -DestinationPath (Join-Path $release $asset)
$sum = (Get-FileHash -Algorithm SHA256 (Join-Path $release $asset)).Hash.ToLowerInvariant()
Set-Content -Path (Join-Path $plugin 'checksums.txt') -Value "$sum  $asset"
$env:RUNCODE_DOWNLOAD_BASE = ([uri]$release).AbsoluteUri

function Test-Launcher([string]$title, [string[]]$command, [scriptblock]$before, [bool]$works) {
    $env:RUNCODE_CACHE = Join-Path $stage $title
    & $before
    $said = & $command[0] $command[1..9] '--version' 2>&1 | Out-String
    $ran = $LASTEXITCODE -eq 0 -and $said -match 'runcode [0-9]'
    if ($ran -ne $works) { $script:failed++; Write-Output "FAILED ${title}: $LASTEXITCODE $said" }
}

function Get-Cached { Get-ChildItem (Join-Path $env:RUNCODE_CACHE 'bin') -Filter '*.exe' }

$tag = (Get-Content (Join-Path $root 'launcher\RUNCODE_VERSION') -TotalCount 1).Trim()
$cmd = 'cmd.exe', '/d', '/c', (Join-Path $plugin 'bin\runcode.cmd')
$script = (Join-Path $plugin 'launcher\runcode.ps1')
$ways = @{
    'cmd'        = $cmd
    'powershell' = 'powershell.exe', '-NoProfile', '-ExecutionPolicy', 'Bypass', '-File', $script
    'pwsh'       = 'pwsh.exe', '-NoProfile', '-File', $script
}
foreach ($way in $ways.GetEnumerator()) {
    Test-Launcher $way.Key $way.Value { $null } $true
    Test-Launcher $way.Key $way.Value { $env:RUNCODE_DOWNLOAD_BASE = 'file:///nowhere' } $true
    Test-Launcher $way.Key $way.Value { Set-Content (Get-Cached).FullName 'tampered' } $false
    Test-Launcher $way.Key $way.Value { $env:RUNCODE_DOWNLOAD_BASE = ([uri]$release).AbsoluteUri } $true
    Test-Launcher $way.Key $way.Value { $env:RUNCODE_PIN_VERSION = $tag } $true
    Test-Launcher $way.Key $way.Value { $env:RUNCODE_PIN_VERSION = 'v1" & exit 0 & "' } $false
    $env:RUNCODE_PIN_VERSION = $null
}
Remove-Item -Recurse -Force $stage
Write-Output "launcher on Windows: $(6 * $ways.Count - $failed) passed, $failed failed"
exit $failed
