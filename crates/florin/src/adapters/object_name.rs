//! The names of files for customers: paths of plain parts.

/// Whether this may be an object's name, or the beginning of some: names come from links too, so nothing in them leads out
/// of the place where objects are.
pub(crate) fn is_object_name(name: &str) -> bool {
    let is_plain = |part: &str| {
        let characters = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        characters && !part.is_empty() && !part.starts_with('.')
    };
    name.strip_suffix('/').unwrap_or(name).split('/').all(is_plain)
}
