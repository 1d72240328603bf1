//! The name of an environment variable, and whether its value is likely to be a secret.

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*` (POSIX, 8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvName(String);

/// Whole names of secrets.
const SECRET: [&str; 13] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "APIKEY",
    "API_KEY",
    "COOKIE",
    "AUTH",
    "PGPASSWORD",
    "MYSQL_PWD",
    "KUBECONFIG",
    "SSH_AUTH_SOCK",
];

/// How names of secrets end.
const SECRET_ENDS: &str = "_KEY _SECRET _TOKEN _PASSWORD _PASSPHRASE _CREDENTIAL _CREDENTIALS _PAT _DSN _APIKEY _APITOKEN \
    _CONNECTION_STRING _KEY_BASE _COOKIE";

/// How names begin that services give to secrets.
const SECRET_STARTS: &str = "OPENAI_ ANTHROPIC_ GEMINI_ GOOGLE_API_KEY HF_ HUGGING_FACE COHERE_ REPLICATE_ MISTRAL_ GROQ_ \
    TOGETHER_ FIREWORKS_ DEEPSEEK_ PERPLEXITY_ XAI_ OPENROUTER_ VOYAGE_ AWS_ GCP_ GCLOUD_ GOOGLE_APPLICATION_CREDENTIALS \
    GOOGLE_CLOUD_ AZURE_ DIGITALOCEAN_ DO_API LINODE_ VULTR_ HETZNER_ CLOUDFLARE_ FASTLY_ NETLIFY_ VERCEL_ HEROKU_ RENDER_ \
    RAILWAY_ FLY_API SUPABASE_ FIREBASE_ ALICLOUD_ ALIBABA_CLOUD_ TENCENTCLOUD_ OCI_ IBMCLOUD_ GITHUB_TOKEN GITHUB_PAT \
    GH_TOKEN GHP_ GITLAB_TOKEN BITBUCKET_TOKEN CODECOV_TOKEN NPM_TOKEN PYPI_ TWINE_ JFROG_ ARTIFACTORY_ NUGET_ SLACK_ \
    TELEGRAM_BOT_TOKEN DISCORD_BOT_TOKEN TWILIO_ SENDGRID_ MAILGUN_ STRIPE_ DATABASE_URL REDIS_URL MONGO_URI MONGODB_URI \
    POSTGRES_PASSWORD MYSQL_PASSWORD SSH_PRIVATE_KEY SECRET_KEY SESSION_SECRET DJANGO_SECRET RAILS_MASTER_KEY JWT_SECRET \
    DOCKER_PASSWORD DOCKER_TOKEN VAULT_TOKEN SENTRY_ DATADOG_ DD_API_KEY DD_APP_KEY NEW_RELIC_ SNYK_ SONAR_";

impl EnvName {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<EnvName, &'static str> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !text.is_empty() && text.bytes().all(allowed) && !text.as_bytes()[0].is_ascii_digit() {
            Ok(EnvName(text.to_owned()))
        } else {
            Err("must be letters, digits and `_`, and must not start with a digit")
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether variables of this name usually hold a secret, whatever the case. A command line shows it to every user of a
    /// machine.
    pub fn is_secret_like(&self) -> bool {
        let name = self.0.to_ascii_uppercase();
        SECRET.contains(&name.as_str())
            || SECRET_ENDS.split_whitespace().any(|end| name.ends_with(end))
            || SECRET_STARTS.split_whitespace().any(|start| name.starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing step is the test's failure")]
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        for good in ["A", "_", "a1_B"] {
            assert!(EnvName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1A", "A B", "A=B", "X;touch /tmp/x", "X=1 id", "Ä", "A-B", "A\n"] {
            assert!(EnvName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_secrets_are_recognised() {
        let is_secret = |name: &str| EnvName::parse(name).unwrap().is_secret_like();
        for name in [
            "MY_API_KEY",
            "github_token",
            "Db_Password",
            "AWS_REGION",
            "OPENAI_BASE",
            "TOKEN",
            "SSH_AUTH_SOCK",
            "SOME_DSN",
            "X_CREDENTIALS",
            "DATABASE_URL_RO",
            "KUBECONFIG",
            "mysql_pwd",
            "SECRET_KEY_BASE",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "CI",
            "PATH",
            "HOME",
            "KEYBOARD",
            "TOKENS",
            "AUTHOR",
            "GPG_AGENT_INFO",
            "SSH_AGENT_PID",
            "MONKEY",
            "DO_IT",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
