# Homebrew: `brew tap runcode-io/runcode https://github.com/runcode-io/runcode-cli`, then `brew install runcode`.
# Version and hashes are moved by dist/pin with each release; `brew install --HEAD runcode` builds from source.
class Runcode < Formula
  desc "Safe SSH access to a remote workspace for coding agents, editors and terminals"
  homepage "https://github.com/runcode-io/runcode-cli"
  version "0.1.0"
  license "MIT"

  head do
    url "https://github.com/runcode-io/runcode-cli.git", branch: "main"
    depends_on "rust" => :build
  end

  base = "https://github.com/runcode-io/runcode-cli/releases/download/v#{version}"
  on_macos do
    on_arm do
      url "#{base}/runcode_darwin_arm64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "#{base}/runcode_darwin_amd64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end
  on_linux do
    on_arm do
      url "#{base}/runcode_linux_arm64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "#{base}/runcode_linux_amd64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  def install
    system "cargo", "install", *std_cargo_args if build.head?
    bin.install "runcode" unless build.head?
    generate_completions_from_executable(bin/"runcode", "completions")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/runcode --version")
  end
end
