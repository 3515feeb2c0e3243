//! The pictures as pixels.

mod element;
mod letters;
mod shape;

use roxmltree::{Document, Node};
use tiny_skia::{Pixmap, Transform};

use crate::ReportError;
use element::number;
use letters::Letters;

/// An SVG document of this crate as PNG, one pixel a unit. The letters come from the program itself.
///
/// Pictures are made of a few elements of SVG, and those alone are drawn: `g`, `rect`, `circle`, `line`, `polyline`,
/// `polygon`, `path` of straight lines, and `text` of one line, with colours as `#RRGGBB`. Errors: anything else in the
/// document, so that no part of a picture is missing from its PNG unseen.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>, ReportError> {
    pixels(svg).and_then(|pixels| pixels.encode_png().map_err(|e| e.to_string())).map_err(ReportError::Png)
}

fn pixels(svg: &str) -> Result<Pixmap, String> {
    let document = Document::parse(svg).map_err(|e| e.to_string())?;
    let root = document.root_element();
    let [width, height] = ["width", "height"].map(|name| number(root, name));
    let mut pixels = Pixmap::new(width?.ceil() as u32, height?.ceil() as u32).ok_or("it has no size")?;
    draw_all(root, Transform::identity(), &Letters::new()?, &mut pixels)?;
    Ok(pixels)
}

/// Draws the elements below one, in their order.
fn draw_all(parent: Node<'_, '_>, around: Transform, letters: &Letters, pixels: &mut Pixmap) -> Result<(), String> {
    for node in parent.children().filter(Node::is_element) {
        let within = around.pre_concat(element::transform(node)?);
        let outline = match node.tag_name().name() {
            "title" | "desc" => continue,
            "g" => {
                draw_all(node, within, letters, pixels)?;
                continue;
            }
            "text" => letters.line(node)?,
            _ => shape::outline(node)?,
        };
        if let Some(outline) = outline {
            element::paint(node, &outline, within, pixels)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "png/tests.rs"]
mod tests;
