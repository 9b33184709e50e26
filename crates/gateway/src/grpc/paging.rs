//! Pages of lists.

use crate::projection::Page;

/// Items of a page when the caller names no number.
const DEFAULT_SIZE: u32 = 50;
/// Items of a page at most.
const MAX_SIZE: u32 = 200;

/// The page that a request asks for.
pub(super) fn page(size: u32, token: String) -> Page {
    let size = if size == 0 {
        DEFAULT_SIZE
    } else {
        size.min(MAX_SIZE)
    };
    Page {
        size: size as usize,
        token: (!token.is_empty()).then_some(token),
    }
}
