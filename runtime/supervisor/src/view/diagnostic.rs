//! The errors of a configuration as miette draws them: the line, a caret, the reason, the way out.

use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents,
};
use rsw_config::{ConfigErrors, NamedText};
use serde_json::{Value, json};

/// One error of a configuration.
#[derive(Debug)]
pub(crate) struct Report {
    diagnostic: rsw_config::Diagnostic,
    text: Option<Quoted>,
}

impl Report {
    /// The error, ready to be drawn.
    pub(crate) fn new(diagnostic: rsw_config::Diagnostic) -> Self {
        // A caret needs something to stand under.
        let text = diagnostic.file.clone().filter(|file| !file.text.is_empty()).map(Quoted);
        Self { diagnostic, text }
    }

    /// All errors, in their order.
    pub(crate) fn all(errors: ConfigErrors) -> Vec<Self> {
        errors.diagnostics.into_iter().map(Self::new).collect()
    }

    /// `{"file","line","column","key","message","help"}`; what is not known is null.
    pub(crate) fn to_json(&self) -> Value {
        let diagnostic = &self.diagnostic;
        let file = diagnostic.file.as_ref();
        let place = file.zip(diagnostic.span.as_ref()).map(|(file, s)| file.line_column(s.start));
        json!({
            "file": file.map(|file| &file.name),
            "line": place.map(|(line, _)| line),
            "column": place.map(|(_, column)| column),
            "key": diagnostic.key,
            "message": diagnostic.message,
            "help": diagnostic.help,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.diagnostic.key, self.diagnostic.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let length = self.text.as_ref()?.0.text.len();
        let span = self.diagnostic.span.as_ref()?;
        let start = span.start.min(length);
        let end = span.end.clamp(start, length);
        let label = LabeledSpan::new(None, start, end - start);
        Some(Box::new(std::iter::once(label)))
    }
}

/// A text whose first line need not be line 1.
#[derive(Debug)]
struct Quoted(Arc<NamedText>);

impl SourceCode for Quoted {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.0.text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line() + self.0.first_line - 1,
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// Any error as text for standard error: framed in Unicode and coloured, or plain.
pub(crate) fn render(diagnostic: &dyn Diagnostic, color: bool, columns: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(columns.max(40))
        .with_links(false)
        .with_context_lines(1)
        .without_syntax_highlighting();
    let mut out = String::new();
    match handler.render_report(&mut out, diagnostic) {
        Ok(()) => out,
        Err(fmt::Error) => format!("{diagnostic}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, span: std::ops::Range<usize>, first_line: usize) -> Report {
        Report::new(rsw_config::Diagnostic {
            file: Some(Arc::new(NamedText {
                name: "swarm.toml".into(),
                text: text.into(),
                first_line,
            })),
            span: Some(span),
            key: "field.boundry".into(),
            message: "unknown key `boundry`".into(),
            help: Some("did you mean `boundary`?".into()),
        })
    }

    #[test]
    fn file_line_caret_reason_and_help_are_drawn() {
        let text = render(&report("[field]\nboundry = 1\n", 8..15, 1), false, 80);
        for part in [
            "field.boundry: unknown key `boundry`",
            "swarm.toml:2:1",
            "2 │ boundry = 1",
            "───────",
            "help: did you mean `boundary`?",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains('\x1b'));
        assert!(render(&report("x = 1", 0..1, 1), true, 80).contains('\x1b'));
    }

    #[test]
    fn a_quoted_line_keeps_its_number() {
        let text = render(&report("1,oops", 2..6, 7040), false, 80);
        assert!(text.contains("swarm.toml:7040:3"), "{text}");
        assert!(text.contains("7040 │ 1,oops"), "{text}");
        assert_eq!(report("1,oops", 2..6, 7040).to_json()["line"], 7040);
    }

    #[test]
    fn odd_spans_are_drawn_too() {
        for (text, span) in [("", 0..0), ("a", 1..1), ("a", 5..9), ("a\n", 2..2)] {
            assert!(render(&report(text, span, 1), false, 0).contains("unknown key"));
        }
    }
}
