# Completion of runcode in PowerShell. Nothing of the line is evaluated; each answer comes quoted. Where there is none,
# PowerShell offers files.
Register-ArgumentCompleter -Native -CommandName runcode -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    # Each word has a colon before it: older PowerShells leave empty arguments out.
    $words = @(foreach ($element in $commandAst.CommandElements) {
            if ($element.Extent.EndOffset -ge $cursorPosition) { break }
            if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
                ":$($element.Value)"
            } else { ":$($element.Extent.Text)" }
        })
    $words += ":$wordToComplete"
    $before = $env:RUNCODE_COMPLETE
    $env:RUNCODE_COMPLETE = 'powershell'
    try { $answer = @(& (Get-Command -Name runcode -CommandType Application | Select-Object -First 1) -- $words 2>$null) }
    finally { $env:RUNCODE_COMPLETE = $before }
    foreach ($line in $answer) {
        $inserted, $shown, $help = "$line".Split([char]9)
        if ($shown) {
            if (-not $help) { $help = $shown }
            [System.Management.Automation.CompletionResult]::new($inserted, $shown, 'ParameterValue', $help)
        }
    }
}
