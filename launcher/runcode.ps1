# runcode-launcher for Windows PowerShell 5.1 and PowerShell 7. As launcher/runcode, which has the reasons.
# Called by runcode.cmd with RUNCODE_LAUNCHER_STEP=verify or fetch, it only says by its exit status whether the
# cached binary is right; by itself it becomes the binary. PowerShell takes one bare `--` out of the arguments.
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$repository = 'https://github.com/runcode-io/runcode-cli'
$root = Split-Path -Parent $PSScriptRoot
$step = "$env:RUNCODE_LAUNCHER_STEP"
$forwarded = $args

function Stop-Launcher([string]$message, [string]$hint) {
    # A project's settings may have set a variable, so the value that we print must not end the line or control the terminal.
    [Console]::Error.WriteLine("runcode: $($message -replace '[^ -~]', '?')")
    if ($hint) { [Console]::Error.WriteLine("hint: $($hint -replace '[^ -~]', '?')") }
    exit 1
}

# The hash of the one line of a manifest whose second field is exactly the asset; '' when that is not decided.
function Find-Hash([string]$manifest, [string]$asset) {
    $found = @(Get-Content -LiteralPath $manifest | ForEach-Object { , ($_ -split '\s+') } |
            Where-Object { $_.Count -eq 2 -and $_[1] -ceq $asset } | ForEach-Object { $_[0] } | Select-Object -Unique)
    if ($found.Count -eq 1 -and $found[0] -cmatch '^[0-9a-f]{64}$') { $found[0] } else { '' }
}

function Measure-Hash([string]$file) { (Get-FileHash -Algorithm SHA256 -LiteralPath $file).Hash.ToLowerInvariant() }

# One argument as CommandLineToArgvW reads it back.
function Format-Argument([string]$text) {
    if ($text -ne '' -and $text -notmatch '[\s"]') { return $text }
    '"' + (($text -replace '(\\*)"', '$1$1\"') -replace '(\\+)$', '$1$1') + '"'
}

function Start-Runcode([string]$program) {
    $start = New-Object Diagnostics.ProcessStartInfo
    $start.FileName = $program
    $start.Arguments = @($forwarded | ForEach-Object { Format-Argument "$_" }) -join ' '
    $start.UseShellExecute = $false
    $start.WorkingDirectory = (Get-Location -PSProvider FileSystem).ProviderPath
    $env:RUNCODE_LAUNCHER = $PSCommandPath
    $process = [Diagnostics.Process]::Start($start)
    $process.WaitForExit()
    exit $process.ExitCode
}

# Redirects stay on https; size, time and a dripping server are capped.
function Save-File([string]$name, [string]$file) {
    $curl = Join-Path "$env:SystemRoot" 'System32\curl.exe'
    if (-not (Test-Path -LiteralPath $curl)) { Stop-Launcher "there is no $curl" 'set RUNCODE_BIN to a runcode binary' }
    $scheme = ([uri]$base).Scheme
    $options = '-q', '--globoff', '--proto', "=$scheme", '--proto-redir', '=https', '--tlsv1.2', '--location',
        '--max-redirs', '5', '--fail', '--connect-timeout', '15', '--speed-limit', '1024', '--speed-time', '15',
        '--max-time', '300', '--max-filesize', '67108864', '--silent', '--show-error', '--output', $file
    if ($scheme -eq 'http') { $options += '--noproxy', '*' }
    & $curl @options -- "$base/$name"
    if ($LASTEXITCODE -ne 0) { Stop-Launcher "cannot download $name from $base" 'set RUNCODE_BIN to a runcode binary' }
    if ((Get-Item -LiteralPath $file).Length -gt 67108864) { Stop-Launcher "$name is too large" '' }
}

if (-not $env:SystemRoot) { Stop-Launcher 'this launcher is for Windows' 'use launcher/runcode' }
if ($env:RUNCODE_BIN -and -not $step) {
    if (-not (Test-Path -LiteralPath $env:RUNCODE_BIN -PathType Leaf)) {
        Stop-Launcher "RUNCODE_BIN is not a program: $env:RUNCODE_BIN" 'set it to a runcode binary, or unset it'
    }
    $own = (Resolve-Path -LiteralPath $env:RUNCODE_BIN).ProviderPath
    if ($own -like "$PSScriptRoot\*" -or $own -like "$root\bin\*") {
        Stop-Launcher "RUNCODE_BIN leads back to this launcher: $own" 'set it to a runcode binary, or unset it'
    }
    Start-Runcode $own
}

$pinned = "$(Get-Content -LiteralPath (Join-Path $PSScriptRoot 'RUNCODE_VERSION') -TotalCount 1)".Trim()
$version = if ($env:RUNCODE_PIN_VERSION) { $env:RUNCODE_PIN_VERSION } else { $pinned }
if ($version -cnotmatch '\A[A-Za-z0-9][A-Za-z0-9._+-]*\z') { Stop-Launcher 'RUNCODE_PIN_VERSION is not a release tag' 'set it to a tag such as v1.2.3, or unset it' }
$arch = if ("$env:PROCESSOR_ARCHITECTURE $env:PROCESSOR_ARCHITEW6432" -match 'ARM64') { 'arm64' } else { 'amd64' }
$asset = "runcode_windows_$arch.zip"
$expected = if ($version -ceq $pinned) { Find-Hash (Join-Path $root 'checksums.txt') $asset } else { '' }

$cache = if ($env:RUNCODE_CACHE) { $env:RUNCODE_CACHE }
elseif ("$env:XDG_CACHE_HOME" -match '^[A-Za-z]:\\') { Join-Path $env:XDG_CACHE_HOME 'runcode' }
else { Join-Path $env:LOCALAPPDATA 'runcode' }
$bin = Join-Path $cache "bin\runcode-$version-windows-$arch.exe"
$stamp = "$bin.stamp"

# True when the cached binary has the hash that it had when its archive was verified.
function Test-Cached {
    if (-not (Test-Path -LiteralPath $bin -PathType Leaf) -or -not (Test-Path -LiteralPath $stamp -PathType Leaf)) {
        return $false
    }
    $noted = @("$(Get-Content -LiteralPath $stamp -TotalCount 1)" -split ' ')
    if ($noted.Count -lt 2 -or ($version -ceq $pinned -and ($expected -eq '' -or $noted[0] -cne $expected))) { return $false }
    (Measure-Hash $bin) -ceq $noted[1]
}

$good = Test-Cached
if ($step -eq 'verify') { exit [int](-not $good) }
if ($good) { if ($step) { exit 0 } else { Start-Runcode $bin } }
if (-not $step) {
    $found = Get-Command -Name 'runcode.exe' -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($found) { Start-Runcode $found.Source }
}

if ($version -ceq $pinned -and -not $expected) {
    $own = 'set RUNCODE_BIN to a runcode binary, such as target\release\runcode.exe of a checkout'
    Stop-Launcher "release $version is not published for this system: checksums.txt has no $asset" $own
}
$base = if ($env:RUNCODE_DOWNLOAD_BASE) { $env:RUNCODE_DOWNLOAD_BASE.TrimEnd('/') }
else { "$repository/releases/download/$version" }
if ($base -cnotmatch '\A(https://[^/]|file:///|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/|\z))') {
    Stop-Launcher "refusing to download from $base" 'RUNCODE_DOWNLOAD_BASE takes https, file, or http on loopback'
}

$folder = Join-Path $cache 'bin'
$null = New-Item -ItemType Directory -Path $folder -Force
# Of several first runs one downloads; the others wait, half a minute at most. Windows frees the lock of a dead one.
$lock = $null
for ($attempt = 0; $attempt -lt 150 -and -not $lock; $attempt++) {
    try { $lock = [IO.File]::Open("$bin.lock", 'OpenOrCreate', 'ReadWrite', 'None') }
    catch { Start-Sleep -Milliseconds 200 }
}
if (Test-Cached) {
    if ($lock) { $lock.Dispose() }
    if ($step) { exit 0 } else { Start-Runcode $bin }
}
$work = Join-Path $folder ('.fetch-' + [guid]::NewGuid().ToString('N'))
$null = New-Item -ItemType Directory -Path $work
try {
    if ($version -cne $pinned) {
        [Console]::Error.WriteLine("runcode: $version is not the pinned ${pinned}: trusting the checksums of its own release")
        Save-File 'checksums.txt' (Join-Path $work 'checksums.txt')
        $expected = Find-Hash (Join-Path $work 'checksums.txt') $asset
        if (-not $expected) { Stop-Launcher "the checksums of release $version have no $asset" '' }
    }
    $archive = Join-Path $work 'archive.zip'
    Save-File $asset $archive
    if ((Measure-Hash $archive) -cne $expected) {
        Stop-Launcher "$asset of $version is not the file that was published: its SHA-256 differs" 'nothing of it was run'
    }
    Add-Type -AssemblyName System.IO.Compression.FileSystem
    $zip = [IO.Compression.ZipFile]::OpenRead($archive)
    $entries = @($zip.Entries | Where-Object { $_.FullName -ceq 'runcode.exe' -and $_.Length -lt 268435456 })
    if ($entries.Count -ne 1) { Stop-Launcher "$asset of $version does not hold one file runcode.exe" '' }
    $new = Join-Path $work 'runcode.exe'
    [IO.Compression.ZipFileExtensions]::ExtractToFile($entries[0], $new)
    $zip.Dispose()
    $sum = Measure-Hash $new
    # A program that runs cannot be overwritten, but it can be moved out of the way.
    if (Test-Path -LiteralPath $bin) { Move-Item -LiteralPath $bin -Destination (Join-Path $work 'old') }
    Move-Item -LiteralPath $new -Destination $bin
    [IO.File]::WriteAllText($stamp, "$expected $sum new`n")
} finally {
    if ($lock) { $lock.Dispose() }
    Remove-Item -LiteralPath $work -Recurse -Force -ErrorAction SilentlyContinue
}
if (-not (Test-Cached)) { Stop-Launcher "the cached binary changed while it was being installed: $bin" '' }
if ($step) { exit 0 }
Start-Runcode $bin
