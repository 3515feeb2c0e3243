use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::ReportError;

const FAMILY: &str = "Noto Sans";

/// An SVG document of this crate as PNG, one pixel a unit. The letters come from the program itself.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>, ReportError> {
    let fail = |problem: String| ReportError::Png(problem);
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(ttf_noto_sans::REGULAR.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    let options = Options { fontdb: Arc::new(fonts), font_family: FAMILY.into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|e| fail(e.to_string()))?;
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| fail("it has no size".into()))?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| fail(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_without_a_font_of_the_system() {
        let picture = |text: &str| {
            format!(
                "<svg xmlns='http://www.w3.org/2000/svg' width='80' height='30'><text x='5' y='22' font-family='sans-serif' font-size='20'>{text}</text></svg>"
            )
        };
        let (blank, letters) = (png(&picture("")).unwrap(), png(&picture("9 ms")).unwrap());
        assert_eq!(&letters[..4], b"\x89PNG");
        assert_ne!(blank, letters);
    }
}
