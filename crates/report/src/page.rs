//! The pieces of a page. Every function takes plain text and escapes it, unless it says otherwise.

use crate::markup::escape;

const STYLE: &str = include_str!("html/style.css");

/// A whole document around a body of markup, with its style inside.
pub(crate) fn document(title: &str, class: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body class=\"{class}\">\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// A cell of a table.
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// A number, to the right.
    Number(String),
    /// Words that are good or bad news.
    Verdict(String, bool),
    /// Words behind a patch of colour, `#RRGGBB`.
    Coloured(String, String),
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self::Number(text.into())
    }

    fn markup(&self) -> String {
        match self {
            Self::Text(text) => format!("<td>{}</td>", escape(text)),
            Self::Number(text) => format!("<td class=\"n\">{}</td>", escape(text)),
            Self::Verdict(text, good) => {
                format!("<td class=\"{}\">{}</td>", if *good { "good" } else { "bad" }, escape(text))
            }
            Self::Coloured(text, colour) => {
                format!(
                    "<td><span class=\"swatch\" style=\"background:{}\"></span>{}</td>",
                    escape(colour),
                    escape(text)
                )
            }
        }
    }
}

/// A table; a heading is set to the right where the first row has a number below it. Nothing without rows.
pub(crate) fn table(headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut out = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for (i, heading) in headings.iter().enumerate() {
        let class = if matches!(first.get(i), Some(Cell::Number(_))) { " class=\"n\"" } else { "" };
        out += &format!("<th scope=\"col\"{class}>{}</th>", escape(heading));
    }
    out += "</tr></thead>\n<tbody>\n";
    for row in rows {
        out += &format!("<tr>{}</tr>\n", row.iter().map(Cell::markup).collect::<String>());
    }
    out + "</tbody></table></div>\n"
}

/// A key figure.
pub(crate) fn tile(value: &str, name: &str) -> String {
    format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape(value), escape(name))
}

/// A section of markup; nothing when it is empty.
pub(crate) fn section(title: &str, markup: &str) -> String {
    if markup.is_empty() {
        String::new()
    } else {
        format!("<section>\n<h2>{}</h2>\n{markup}</section>\n", escape(title))
    }
}

/// A picture of markup.
pub(crate) fn figure(svg: &str) -> String {
    format!("<figure>\n{svg}</figure>\n")
}

/// Something to be unfolded, of markup.
pub(crate) fn fold(title: &str, markup: &str) -> String {
    format!("<details>\n<summary>{}</summary>\n{markup}</details>\n", escape(title))
}

/// The end of a page: who made it, and whose data it shows.
pub(crate) fn footer(attributions: &[&str]) -> String {
    let mut out = String::from("<footer>Made by Perigee; world map: Natural Earth.");
    for text in attributions.iter().filter(|a| !a.is_empty()) {
        match text.contains("DB-IP") {
            true => out += &format!(" <a href=\"https://db-ip.com\">{}</a>", escape(text)),
            false => out += &format!(" {}", escape(text)),
        }
    }
    out + "</footer>\n"
}
