//! Text into markup.

/// A text as HTML or XML shows it, in contents and in attributes alike. Characters that XML forbids are left out.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if (c < ' ' && !matches!(c, '\n' | '\t')) || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {}
            c => out.push(c),
        }
    }
    out
}

/// Gives an SVG document a title and a description that a screen reader finds, under ids made of `name`.
pub(crate) fn accessible(svg: &str, name: &str, title: &str, description: &str) -> String {
    let Some((head, body)) = svg.split_once('>') else { return svg.to_owned() };
    let (title, description) = (escape(title), escape(description));
    format!(
        "{head} role=\"img\" aria-labelledby=\"{name}-title {name}-desc\"><title id=\"{name}-title\">{title}</title>\
         <desc id=\"{name}-desc\">{description}</desc>{body}"
    )
}

/// About how wide a text in letters without serifs is, in the units of its size; rather too wide than too narrow,
/// for nobody knows the reader's letters.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.31,
        'f' | 'r' | 't' | ' ' | '-' | '(' | ')' | '/' => 0.40,
        'm' | 'w' | 'M' | 'W' | '%' => 0.92,
        c if c.is_ascii_uppercase() => 0.70,
        c if c.is_ascii() => 0.62,
        _ => 0.75,
    };
    text.chars().map(of).sum::<f64>() * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_becomes_markup() {
        assert_eq!(escape("<b a=\"1\" b='2'>&\u{8}"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
    }

    #[test]
    fn a_picture_has_a_title_and_a_description() {
        let svg = accessible("<svg width=\"1\">x</svg>", "p", "A < B", "more");
        assert!(
            svg.starts_with("<svg width=\"1\" role=\"img\" aria-labelledby=\"p-title p-desc\"><title id=\"p-title\">")
        );
        assert!(svg.ends_with("A &lt; B</title><desc id=\"p-desc\">more</desc>x</svg>"));
    }
}
