//! Who may use a queue that runs alone: a file of tokens, each with the application whose tubes it opens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use control::auth::AdminToken;
use control::error::{ApiError, Kind};
use stdx::ids::Scope;

/// Characters below which a token can be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// The tokens of a file.
pub(crate) struct FileTokens(Vec<(Scope, AdminToken)>);

impl FileTokens {
    /// Reads a file with `APP TOKEN` or `APP/ENVIRONMENT TOKEN` in each line; what begins with `#` is a comment.
    ///
    /// # Errors
    /// When it cannot be read, others can read it too, or a line is no token.
    pub(crate) fn load(path: &Path) -> Result<FileTokens, ApiError> {
        let refuse = |code, what: String| ApiError::new(Kind::Usage, code, what).at(path.display().to_string());
        let unreadable = |e: std::io::Error| refuse("tokens_unreadable", format!("the tokens cannot be read: {e}"));
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            let error = refuse("tokens_exposed", "other users can read the tokens".into());
            return Err(error.hint("take their right to read away: chmod 600"));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        FileTokens::parse(&text).map_err(|(line, what)| {
            let error = refuse("tokens_malformed", what.into()).at(format!("{}:{line}", path.display()));
            error.hint("write APP TOKEN or APP/ENVIRONMENT TOKEN in each line")
        })
    }

    fn parse(text: &str) -> Result<FileTokens, (usize, &'static str)> {
        let mut tokens = Vec::new();
        for (line, words) in (1..).zip(text.lines()) {
            let words: Vec<&str> = words.split_whitespace().collect();
            let (scope, token) = match words[..] {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                [scope, token] => (scope, token),
                _ => return Err((line, "this is not an application and its token")),
            };
            let scope = scope.parse().map_err(|_| (line, "this is no name of an application"))?;
            if token.len() < TOKEN_CHARS_MIN {
                return Err((line, "a token of fewer than 16 characters can be guessed"));
            }
            tokens.push((scope, AdminToken::of(token)));
        }
        Ok(FileTokens(tokens))
    }
}

impl queue::TokenSource for FileTokens {
    /// All are compared, whichever it is.
    fn namespace(&self, token: &str) -> Option<Scope> {
        let mut found = None;
        for (scope, one) in &self.0 {
            if one.is(token.as_bytes()) {
                found = Some(scope.clone());
            }
        }
        found
    }

    fn has_any(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use queue::TokenSource;

    use super::*;

    #[test]
    fn a_line_is_an_application_and_its_token() {
        let text = "# ours\nshop 0123456789abcdef\n\n  blog/staging   fedcba9876543210 \n";
        let tokens = FileTokens::parse(text).unwrap();
        assert_eq!(tokens.namespace("0123456789abcdef"), Some("shop/production".parse().unwrap()));
        assert_eq!(tokens.namespace("fedcba9876543210"), Some("blog/staging".parse().unwrap()));
        assert_eq!(tokens.namespace("0123456789abcde"), None);
        assert!(!FileTokens::parse("# none yet\n").unwrap().has_any());
        for (bad, line) in
            [("shop", 1), ("\nshop 0123", 2), ("# x\nSH OP 0123456789abcdef", 2), ("a/b/c 0123456789abcdef", 1)]
        {
            assert_eq!(FileTokens::parse(bad).err().map(|(line, _)| line), Some(line), "{bad:?}");
        }
    }
}
