use std::collections::BTreeMap;

use thiserror::Error;

/// A line of a table of weights that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("weights, line {line}: {problem}")]
pub struct TableError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Reads weights by country for [`PopulationModel::table`](crate::PopulationModel::table): CSV without quotes, the
/// header `country,weight`, a line for each country. Empty lines and spaces around fields are passed over.
///
/// Errors: the first wrong line: no header, not two fields, no code of two capital letters, a country given twice, a
/// weight that is no number of 0 to 1e15.
pub fn parse_table(text: &str) -> Result<BTreeMap<String, f64>, TableError> {
    let mut table = BTreeMap::new();
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines()).filter(|(_, line)| !line.trim().is_empty());
    let mut headed = false;
    for (number, line) in lines {
        let wrong = |problem: String| TableError { line: number, problem };
        let mut fields = line.split(',').map(str::trim);
        let (Some(country), Some(weight), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err(wrong("two fields are expected: country,weight".to_owned()));
        };
        if !headed {
            if (country, weight) != ("country", "weight") {
                return Err(wrong("the header must be country,weight".to_owned()));
            }
            headed = true;
            continue;
        }
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(wrong(format!("{country:?} is no country code: two capital letters are expected")));
        }
        let accepted = weight.parse().ok().filter(|w: &f64| (0.0..=1e15).contains(w));
        let Some(weight) = accepted else {
            return Err(wrong(format!("{weight:?} is no weight: a number of 0 to 1e15 is expected")));
        };
        if table.insert(country.to_owned(), weight).is_some() {
            return Err(wrong(format!("{country} is given twice")));
        }
    }
    if headed {
        Ok(table)
    } else {
        Err(TableError { line: 1, problem: "the header must be country,weight".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_with_spaces_and_empty_lines() {
        let table = parse_table("\u{feff}country,weight\r\n\r\nKR, 51.6\r\nJP,0\n").map_err(|e| e.to_string());
        assert_eq!(table, Ok(BTreeMap::from([("JP".to_owned(), 0.0), ("KR".to_owned(), 51.6)])));
    }

    #[test]
    fn every_wrong_line_is_named() {
        for (text, expected) in [
            ("", "weights, line 1: the header must be country,weight"),
            ("KR,1\n", "weights, line 1: the header must be country,weight"),
            ("country,weight\nKR\n", "weights, line 2: two fields are expected: country,weight"),
            ("country,weight\n\nKR,1,2\n", "weights, line 3: two fields are expected: country,weight"),
            (
                "country,weight\nKR,1\nkr,1\n",
                "weights, line 3: \"kr\" is no country code: two capital letters are expected",
            ),
            ("country,weight\nKR,-1\n", "weights, line 2: \"-1\" is no weight: a number of 0 to 1e15 is expected"),
            ("country,weight\nKR,NaN\n", "weights, line 2: \"NaN\" is no weight: a number of 0 to 1e15 is expected"),
            ("country,weight\nKR,1\nKR,2\n", "weights, line 3: KR is given twice"),
        ] {
            assert_eq!(parse_table(text).unwrap_err().to_string(), expected, "{text:?}");
        }
    }
}
