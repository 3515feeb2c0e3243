//! Entries of a master file (RFC 1035 section 5.1): lines, or what parentheses join, cut into words.

/// An entry: the words of one directive or record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Where it starts, from 1.
    pub(super) line: usize,
    /// Whether it starts with a blank, which stands for the owner before.
    pub(super) blank: bool,
    /// At least one. Escapes and quotation marks are still in them.
    pub(super) words: Vec<&'a str>,
}

/// What is wrong with an entry, and its line.
pub(super) type Refusal = (usize, &'static str);

/// Cuts a file into entries. After a refusal it goes on with the next line.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_to_line_end(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    }

    /// From here to the end of a word: a blank, a comment or a parenthesis outside quotation marks.
    fn word(&mut self) -> Result<&'a str, Refusal> {
        let start = self.at;
        let mut quoted = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' if quoted => return Err((self.line, "a quotation is not closed on its line")),
                b'"' => quoted = !quoted,
                // The escaped octet belongs to the word whatever it is, but for a line's end.
                b'\\' if self.text.as_bytes().get(self.at + 1).is_some_and(|next| *next != b'\n') => self.at += 1,
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' if !quoted => break,
                _ => {}
            }
            self.at += 1;
        }
        if quoted {
            return Err((self.line, "a quotation is not closed"));
        }
        // Only ASCII octets end a word, but an escape may have stepped into the middle of a character at the end.
        self.text.get(start..self.at).ok_or((self.line, "an escape stands before half a character"))
    }

    fn entry(&mut self) -> Result<Option<Entry<'a>>, Refusal> {
        let mut entry = Entry { line: self.line, blank: false, words: Vec::new() };
        let mut parentheses = 0_usize;
        let mut line_start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    if parentheses == 0 && !entry.words.is_empty() {
                        return Ok(Some(entry));
                    }
                    line_start = self.at;
                    continue;
                }
                b' ' | b'\t' | b'\r' => {}
                b';' => {
                    self.skip_to_line_end();
                    continue;
                }
                b'(' => parentheses += 1,
                b')' => match parentheses.checked_sub(1) {
                    Some(fewer) => parentheses = fewer,
                    None => return Err((self.line, "a parenthesis is closed that was not opened")),
                },
                _ => {
                    if entry.words.is_empty() {
                        entry.line = self.line;
                        entry.blank = self.at > line_start;
                    }
                    entry.words.push(self.word()?);
                    continue;
                }
            }
            self.at += 1;
        }
        if parentheses > 0 {
            return Err((entry.line, "a parenthesis is not closed"));
        }
        Ok(Some(entry).filter(|entry| !entry.words.is_empty()))
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Entry<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entry();
        if entry.is_err() {
            self.skip_to_line_end();
        }
        entry.transpose()
    }
}

/// The octets that a word stands for: quotation marks taken off, `\DDD` and `\X` resolved (RFC 1035 section 5.1).
///
/// Errors: an escape with a number above 255 or with nothing behind it.
pub(super) fn octets(word: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'"', _) => {}
            (b'\\', [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', tail @ ..]) => {
                let [a, b, c] = [a, b, c].map(|digit| u16::from(digit - b'0'));
                out.push(u8::try_from(a * 100 + b * 10 + c).map_err(|_| "an escape is above 255")?);
                rest = tail;
            }
            (b'\\', [b'0'..=b'9', ..]) => return Err("an escaped number needs three digits"),
            (b'\\', [escaped, tail @ ..]) => {
                out.push(*escaped);
                rest = tail;
            }
            (b'\\', []) => return Err("an escape ends the word"),
            _ => out.push(*first),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_lines_or_what_parentheses_join() {
        let text = "$TTL 60 ; sixty\n\n; nothing\na IN TXT \"b ; (c\" d\\;e\n  TXT ( f\n ; g\n  h) i\n\tX";
        let entries: Vec<_> = Lexer::new(text).map(Result::unwrap).collect();
        let expected: [(usize, bool, &[&str]); 4] = [
            (1, false, &["$TTL", "60"]),
            (4, false, &["a", "IN", "TXT", "\"b ; (c\"", "d\\;e"]),
            (5, true, &["TXT", "f", "h", "i"]),
            (8, true, &["X"]),
        ];
        assert_eq!(entries.len(), expected.len());
        for (entry, (line, blank, words)) in entries.iter().zip(expected) {
            assert_eq!((entry.line, entry.blank, &entry.words[..]), (line, blank, words));
        }
    }

    #[test]
    fn a_broken_entry_is_refused_and_the_next_line_is_read() {
        for (text, line) in [
            ("a TXT \"b\nc TXT d\n", 1),
            ("a TXT b)\nc TXT d\n", 1),
            ("c TXT d\na TXT (\n b", 2),
            ("c TXT d\na TXT \"", 2),
        ] {
            let entries: Vec<_> = Lexer::new(text).collect();
            assert_eq!(entries.iter().filter_map(|e| e.as_ref().err()).map(|(l, _)| *l).collect::<Vec<_>>(), [line]);
            assert!(entries.iter().flatten().any(|e| e.words == ["c", "TXT", "d"]), "{text}: {entries:?}");
        }
    }

    #[test]
    fn escapes_stand_for_octets() {
        for (word, expected) in [
            (r"a\.b", Ok(&b"a.b"[..])),
            (r"\065\255", Ok(&b"A\xff"[..])),
            ("\"a b\"", Ok(&b"a b"[..])),
            (r#""a\"b""#, Ok(&b"a\"b"[..])),
            (r"\256", Err(())),
            (r"\06", Err(())),
            ("\\", Err(())),
        ] {
            assert_eq!(octets(word).map_err(|_| ()), expected.map(<[u8]>::to_vec), "{word}");
        }
    }
}
