//! The names of files that programs run or obey without being told to.

/// By their last two names, or by the last alone; in lower case, as some file systems ignore case. A link or a file in the place
/// of such a folder counts too: what it leads to is obeyed as if it were there. The list cannot be complete.
pub(super) const PATHS: &[&str] = &[
    // Of shells.
    ".envrc",
    ".env",
    ".autoenv",
    ".autoenv.zsh",
    ".bash_completion",
    ".cshrc",
    ".inputrc",
    ".kshrc",
    ".login",
    ".mkshrc",
    ".shrc",
    ".tcshrc",
    ".bash_aliases",
    ".bash_login",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".profile",
    ".zlogin",
    ".zlogout",
    ".zprofile",
    ".zshenv",
    ".zshrc",
    // Of git.
    ".git/commondir",
    ".git/config",
    ".git/config.worktree",
    ".gitconfig",
    ".gitmodules",
    ".hg/hgrc",
    ".hgrc",
    ".pre-commit-config.yaml",
    // Of package managers and builds.
    ".cargo/config",
    ".cargo/config.toml",
    ".bazelrc",
    ".bunfig.toml",
    "bunfig.toml",
    ".mvn/extensions.xml",
    ".mvn/jvm.config",
    ".mvn/maven.config",
    "mise.local.toml",
    ".rvmrc",
    ".mise.toml",
    "mise.toml",
    ".npmrc",
    ".tool-versions",
    "rust-toolchain",
    "rust-toolchain.toml",
    "gnumakefile",
    "mise/config.toml",
    "sitecustomize.py",
    "usercustomize.py",
    // Of agents.
    ".aider.conf.yml",
    ".cursorrules",
    ".gemini/settings.json",
    ".mcp.json",
    ".crush.json",
    ".goosehints",
    ".rules",
    ".roomodes",
    ".windsurfrules",
    "agents.md",
    "agents.override.md",
    "agent.md",
    "claude.local.md",
    "claude.md",
    "crush.json",
    "copilot-instructions.md",
    "gemini.md",
    "mcp.json",
    "warp.md",
    "qwen.md",
    "opencode.json",
    "opencode.jsonc",
    // Of editors and debuggers.
    ".dir-locals.el",
    ".dir-locals-2.el",
    ".ghci",
    ".iex.exs",
    ".irbrc",
    ".julia/config/startup.jl",
    ".lvimrc",
    ".octaverc",
    ".pdbrc",
    ".perldb",
    ".psqlrc",
    ".pryrc",
    ".pylintrc",
    ".pythonrc",
    ".rprofile",
    ".sqliterc",
    ".devcontainer.json",
    ".exrc",
    ".gdbinit",
    ".lldbinit",
    ".nvim.lua",
    ".nvimrc",
    ".vimrc",
];

/// What such a name may start with.
pub(super) const STARTS: &[&str] = &[
    ".eslintrc",
    ".lintstagedrc",
    ".pnpmfile.",
    ".prettierrc",
    ".yarnrc",
    "eslint.config.",
    "lefthook",
    "prettier.config.",
];

/// What such a name may end with: files of Python's path, and settings that are programs.
pub(super) const ENDS: &[&str] = &[".pth", ".config.cjs", ".config.js", ".config.mjs", ".config.ts"];

/// Names that begin with a dot, but that no program runs or obeys.
pub(super) const HARMLESS: &[&str] = &[
    ".dockerignore",
    ".editorconfig",
    ".env.example",
    ".env.sample",
    ".env.template",
    ".eslintignore",
    ".gitignore",
    ".gitkeep",
    ".helmignore",
    ".keep",
    ".nojekyll",
    ".npmignore",
    ".prettierignore",
    ".stylelintignore",
];

/// Folders all of whose files count, however deep.
pub(super) const FOLDERS: &[&str] = &[
    ".git/hooks",
    ".githooks",
    ".husky",
    ".mise",
    ".agents",
    ".amazonq",
    ".claude",
    ".clinerules",
    ".codex",
    ".continue",
    ".cursor",
    ".devcontainer",
    ".github/hooks",
    ".kiro",
    ".opencode",
    ".qwen",
    ".roo",
    ".windsurf",
    ".idea",
    ".vim",
    ".vscode",
    ".zed",
    ".ssh",
];

/// Where agents keep whole checkouts, below a folder of theirs.
pub(super) const CHECKOUTS: &str = "worktrees";

/// Where git keeps whole repositories below `.git`, for submodules and worktrees: the hooks and configuration of each count.
pub(super) const GIT_REPOSITORIES: &[&str] = &["modules", "worktrees"];

/// What git obeys in such a repository, besides its hooks.
pub(super) const GIT_FILES: &[&str] = &["hooks", "config", "config.worktree", "commondir"];
