/// A wildcard pattern over a whole string: `*` stands for any run of characters (also none, also `/` and `.`), `?` for
/// exactly one; everything else, a backslash included, for itself.
///
/// Matching never backtracks further than the last `*`, so its time is at most the subject's length times the longest
/// run between two stars: linear in what the client sends, since patterns are short (128 characters).
///
/// Source: ALB guide, "Condition types for listener rules"; anchoring and the literal backslash as in `alb.md` section 7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    bytes: Vec<u8>,
    ignore_case: bool,
}

impl Pattern {
    /// A pattern that tells `a` from `A`.
    pub fn case_sensitive(pattern: &str) -> Self {
        Self { bytes: pattern.as_bytes().to_vec(), ignore_case: false }
    }

    /// A pattern that does not tell `a` from `A` (ASCII letters).
    pub fn case_insensitive(pattern: &str) -> Self {
        Self { bytes: pattern.to_ascii_lowercase().into_bytes(), ignore_case: true }
    }

    /// Whether the whole of `subject` fits the pattern. Works on bytes: request targets and hosts are ASCII.
    pub fn matches(&self, subject: &str) -> bool {
        let (pattern, subject) = (self.bytes.as_slice(), subject.as_bytes());
        let (mut p, mut s) = (0, 0);
        // Where to go on after a mismatch: just behind the last star, and how far that star reaches so far.
        let mut star: Option<(usize, usize)> = None;
        while s < subject.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    p += 1;
                    star = Some((p, s));
                }
                Some(&c) if self.fits(c, subject[s]) => {
                    p += 1;
                    s += 1;
                }
                Some(_) | None => match &mut star {
                    Some((behind, reach)) => {
                        *reach += 1;
                        (p, s) = (*behind, *reach);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == b'*')
    }

    const fn fits(&self, pattern: u8, subject: u8) -> bool {
        pattern == b'?' || pattern == if self.ignore_case { subject.to_ascii_lowercase() } else { subject }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word: slow and obviously right.
    fn oracle(pattern: &[u8], subject: &[u8]) -> bool {
        match (pattern.split_first(), subject.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', p)), rest) => oracle(p, subject) || rest.is_some_and(|(_, s)| oracle(pattern, s)),
            (Some((b'?', p)), Some((_, s))) => oracle(p, s),
            (Some((a, p)), Some((b, s))) => a == b && oracle(p, s),
            (Some(_), None) => false,
        }
    }

    #[test]
    fn patterns_are_anchored_at_both_ends() {
        for (pattern, subject, fits) in [
            ("/img/*", "/img/", true),
            ("/img/*", "/img", false),
            ("/img/*", "/img/a/b", true),
            ("/img/*", "/x/img/a", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("/?", "/a", true),
            ("/?", "/", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            (r"/a\*", r"/a\b", true),
            (r"/a\*", "/a*", false),
        ] {
            assert_eq!(Pattern::case_sensitive(pattern).matches(subject), fits, "{pattern} against {subject}");
        }
    }

    #[test]
    fn only_an_insensitive_pattern_overlooks_case() {
        assert!(Pattern::case_insensitive("WWW.*.Test").matches("www.A.tEST"));
        assert!(!Pattern::case_sensitive("/A").matches("/a"));
    }

    #[test]
    fn a_pattern_made_to_backtrack_stays_fast() {
        let pattern = Pattern::case_sensitive(&"*a".repeat(60));
        let subject = format!("{}b", "a".repeat(60_000));
        assert!(!pattern.matches(&subject));
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_definition(pattern in "[ab*?]{0,8}", subject in "[ab]{0,10}") {
            prop_assert_eq!(
                Pattern::case_sensitive(&pattern).matches(&subject),
                oracle(pattern.as_bytes(), subject.as_bytes())
            );
        }

        #[test]
        fn case_never_matters_to_an_insensitive_pattern(pattern in "[abAB*?]{0,8}", subject in "[abAB]{0,10}") {
            prop_assert_eq!(
                Pattern::case_insensitive(&pattern).matches(&subject),
                oracle(pattern.to_ascii_lowercase().as_bytes(), subject.to_ascii_lowercase().as_bytes())
            );
        }

        #[test]
        fn no_text_makes_it_panic(pattern: String, subject: String) {
            let _ = Pattern::case_sensitive(&pattern).matches(&subject);
        }
    }
}
