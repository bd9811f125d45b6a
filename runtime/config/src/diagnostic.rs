//! What is wrong with a configuration, where, and what to do about it; drawing it is the caller's work.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that a diagnostic points into: a file, one line of a file, or one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedText {
    /// Path of the file, name of the variable, or the flag.
    pub name: String,
    /// The text that spans count in, in bytes.
    pub text: String,
    /// Line number of the first line of `text`, from 1: a large file is quoted by one line.
    pub first_line: usize,
}

impl NamedText {
    /// A whole text.
    pub fn whole(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), first_line: 1 })
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.first_line + before.matches('\n').count();
        (line, before[line_start..].chars().count() + 1)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it was written; `None` for a missing file or a value nobody wrote.
    pub file: Option<Arc<NamedText>>,
    /// Bytes of [`Self::file`] that are meant.
    pub span: Option<Range<usize>>,
    /// The key, such as `agent.watcher.replicas`; a path where a file is meant.
    pub key: String,
    /// The reason.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
}

impl Diagnostic {
    /// `file:line:column`, if the place is known.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let Some(span) = &self.span else { return Some(file.name.clone()) };
        let (line, column) = file.line_column(span.start);
        Some(format!("{}:{line}:{column}", file.name))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.key, self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with one configuration, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The candidate nearest to `word`, if one is near enough to be a slip of the finger.
///
/// Jaro-Winkler similarity of at least 0.8, case ignored.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or the whole list where nothing is near.
pub(crate) fn suggest(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => "there is none to choose from".into(),
        None => format!("known: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = NamedText { name: "a".into(), text: "é = 1\nb = 2\n".into(), first_line: 7 };
        assert_eq!(text.line_column(0), (7, 1));
        assert_eq!(text.line_column(5), (7, 5));
        assert_eq!(text.line_column(7), (8, 1));
        assert_eq!(text.line_column(999), (9, 1));
    }

    #[test]
    fn suggests_the_nearest_or_lists_all() {
        assert_eq!(suggest("boundry", &["boundary", "backend"]), "did you mean `boundary`?");
        assert_eq!(suggest("zzz", &["boundary", "backend"]), "known: boundary, backend");
    }
}
