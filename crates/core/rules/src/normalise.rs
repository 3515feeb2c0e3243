use std::borrow::Cow;

/// The path as rules see it: escapes of unreserved characters decoded, the other escapes in upper case, then `.` and
/// `..` segments removed; `//` stays and a broken escape stays as it is. What is forwarded is the original.
///
/// Costs no allocation for a path that is already in this form.
///
/// Source: RFC 3986 sections 5.2.4 and 6.2.2, chosen in `alb.md` section 7: the ALB guide says only that paths are
/// normalised first.
pub fn normalise_path(path: &str) -> Cow<'_, str> {
    let decoded = if path.contains('%') { Cow::Owned(decode_unreserved(path)) } else { Cow::Borrowed(path) };
    if decoded.starts_with('/') && decoded.contains("/.") { Cow::Owned(remove_dots(&decoded)) } else { decoded }
}

fn decode_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let Some(byte) = escape.get(1..3).and_then(|hex| {
            // `from_str_radix` alone would take a sign.
            hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(hex, 16).ok()).flatten()
        }) else {
            out.push('%');
            rest = &escape[1..];
            continue;
        };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&escape[..3].to_ascii_uppercase());
        }
        rest = &escape[3..];
    }
    out.push_str(rest);
    out
}

/// Dot segments of an absolute path; what climbs above the root stays at the root.
fn remove_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 3986 section 5.2.4, steps A to E as they stand there.
    fn rfc(path: &str) -> String {
        let (mut input, mut output) = (path.to_owned(), String::new());
        while !input.is_empty() {
            if let Some(rest) = input.strip_prefix("/./") {
                input = format!("/{rest}");
            } else if input == "/." {
                input = "/".to_owned();
            } else if input.starts_with("/../") || input == "/.." {
                input = format!("/{}", input.get(4..).unwrap_or_default());
                output.truncate(output.rfind('/').unwrap_or(0));
            } else {
                let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
                output.push_str(&input[..end]);
                input = input[end..].to_owned();
            }
        }
        output
    }

    #[test]
    fn escapes_and_dots_are_normalised_and_double_slashes_are_not() {
        for (path, normal) in [
            ("/a/b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/../../x", "/x"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("//a//b", "//a//b"),
            ("/%61%2e%2fb", "/a.%2Fb"),
            ("/%2e%2e/admin", "/admin"),
            ("/x/%2E./y", "/y"),
            ("/%zz%4", "/%zz%4"),
            ("/%+1", "/%+1"),
            ("/...", "/..."),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(normalise_path(path), normal, "{path}");
        }
    }

    #[test]
    fn a_normal_path_is_not_copied() {
        assert!(matches!(normalise_path("/a/b.html"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn dots_go_as_the_rfc_says(path in "(/[a.]{0,3}){1,6}") {
            prop_assert_eq!(normalise_path(&path), rfc(&path));
        }

        #[test]
        fn normalising_twice_changes_nothing_more(path in "(/[a.]{0,3}){1,6}") {
            let once = normalise_path(&path).into_owned();
            prop_assert_eq!(normalise_path(&once), once.clone());
        }

        #[test]
        fn no_text_makes_it_panic(path: String) {
            let _ = normalise_path(&path);
        }
    }
}
