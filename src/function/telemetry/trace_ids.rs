//! The ids of traces, taken only if they have the documented form: the client writes one of them.

/// The root of an X-Ray trace from Lambda's header, e.g. `1-5759e988-bd862e3fe1be46a994272793`.
pub fn x_ray_root(header: &str) -> Option<&str> {
    let root = header.split(';').find_map(|field| field.trim().strip_prefix("Root="))?;
    let (time, id) = root.strip_prefix("1-")?.split_at_checked(X_RAY_TIME_DIGITS)?;
    let is_root =
        is_hex(time, X_RAY_TIME_DIGITS) && id.strip_prefix('-').is_some_and(|id| is_hex(id, X_RAY_ID_DIGITS));
    is_root.then_some(root)
}

/// The value of a `traceparent` header, if it has the form of W3C Trace Context 3.2.2. A later version may say more
/// behind what this one says (4); that is left out.
pub fn traceparent(header: &str) -> Option<&str> {
    let known = header.get(..TRACEPARENT_CHARACTERS)?;
    let rest = header.get(TRACEPARENT_CHARACTERS..)?;
    let mut parts = known.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (parent, flags) = (parts.next()?, parts.next()?);
    let is_this_version = version == "00" && rest.is_empty();
    let is_later_version = version != "00" && version != "ff" && (rest.is_empty() || rest.starts_with('-'));
    let is_valid = (is_this_version || is_later_version)
        && parts.next().is_none()
        && is_hex(version, 2)
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && [trace, parent].iter().all(|id| id.bytes().any(|byte| byte != b'0'));
    is_valid.then_some(known)
}

/// Lower-case hexadecimal digits.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// AWS X-Ray Developer Guide, "Tracing header".
const X_RAY_TIME_DIGITS: usize = 8;
const X_RAY_ID_DIGITS: usize = 24;

/// `00-`, 32 digits, `-`, 16 digits, `-` and 2 digits.
const TRACEPARENT_CHARACTERS: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_is_taken() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(valid), Some(valid));
        let later = valid.replacen("00", "cc", 1);
        assert_eq!(traceparent(&later), Some(later.as_str()));
        assert_eq!(traceparent(&format!("{later}-what-is-yet-to-come")), Some(later.as_str()));
        for invalid in [
            "",
            "00",
            &valid.to_uppercase(),
            &format!("{valid}-"),
            &format!("{valid}-00"),
            &format!(" {valid}"),
            &format!("{later}."),
            &valid.replacen("00", "ff", 1),
            &valid.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &valid.replace("b7ad6b7169203331", "0000000000000000"),
            &valid.replace('7', "g"),
            &valid.replace('-', "_"),
            &"é".repeat(55),
        ] {
            assert_eq!(traceparent(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn only_the_root_of_an_x_ray_header_is_taken() {
        let root = "1-5759e988-bd862e3fe1be46a994272793";
        for header in [
            format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1"),
            format!("Self=1-67891234-12456789abcdef012345678; Root={root}"),
            format!("Root={root}"),
        ] {
            assert_eq!(x_ray_root(&header), Some(root), "{header}");
        }
        for header in ["", "Root=", "Root=1-2-3", root, &format!("Root={root}x"), &format!("Root={root}-1")] {
            assert_eq!(x_ray_root(header), None, "{header}");
        }
    }
}
