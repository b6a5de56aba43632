//! The list of a library's public items.

use quote::quote;
use syn::{Generics, Ident, Item};

use super::impls;
use super::listing::Listing;
use super::members;
use super::public::{Export, Public};
use super::source::{Source, parts};
use super::text::{ATTRIBUTES, kept, text};

/// Lists the public items of a library. An item that has several names is listed once, under the
/// shortest.
pub(super) fn of(source: &Source) -> Listing {
    let public = Public::of(source);
    let mut listing = Listing::default();
    for (definition, exports) in &public.items {
        let Some(name) = public.name(definition) else { continue };
        for export in exports {
            if export != name {
                let target = joined(source, name);
                listing.at(format!("{}: {}pub use {target}", joined(source, export), export.condition));
            }
        }
        for item in source.definitions(definition) {
            let entry = listing.at(line(source, name, item));
            members::list(item, entry);
            impls::list(source, &public, definition, entry);
        }
    }
    for (export, path) in &public.foreign {
        let line = format!("{}: {}pub use {}", joined(source, export), export.condition, path.join("::"));
        listing.at(line);
    }
    listing
}

/// Returns the line of an item: its name, then its signature.
fn line(source: &Source, export: &Export, item: &Item) -> String {
    let attributes = parts(item).map_or(&[][..], |parts| parts.attributes);
    // The item's own conditions are those of its export, unless it is re-exported.
    let mut condition = kept(attributes, &ATTRIBUTES);
    if !condition.contains(&export.condition) {
        condition.insert_str(0, &export.condition);
    }
    format!("{}: {condition}{}", joined(source, export), signature(item))
}

fn joined(source: &Source, export: &Export) -> String {
    [&source.name].into_iter().chain(&export.names).map(String::as_str).collect::<Vec<_>>().join("::")
}

/// Returns an item without its body.
fn signature(item: &Item) -> String {
    let head = |keyword: &str, name: &Ident, generics: &Generics| {
        let bounds = &generics.where_clause;
        format!("pub {keyword} {}", text(quote!(#name #generics #bounds)))
    };
    match item {
        Item::Enum(it) => head("enum", &it.ident, &it.generics),
        Item::Struct(it) => head("struct", &it.ident, &it.generics),
        Item::Union(it) => head("union", &it.ident, &it.generics),
        Item::Mod(it) => format!("pub mod {}", it.ident),
        Item::Fn(it) => {
            let signature = &it.sig;
            format!("pub {}", text(quote!(#signature)))
        }
        Item::Const(it) => {
            let (name, ty) = (&it.ident, &it.ty);
            format!("pub const {}", text(quote!(#name: #ty)))
        }
        Item::Static(it) => {
            let (name, ty) = (&it.ident, &it.ty);
            format!("pub static {}", text(quote!(#name: #ty)))
        }
        Item::Type(it) => {
            let ty = &it.ty;
            format!("{} = {}", head("type", &it.ident, &it.generics), text(ty))
        }
        Item::Trait(it) => {
            let (name, generics, colon, traits) = (&it.ident, &it.generics, &it.colon_token, &it.supertraits);
            let (safety, bounds) = (&it.unsafety, &generics.where_clause);
            format!("pub {}", text(quote!(#safety trait #name #generics #colon #traits #bounds)))
        }
        // Items without a name are not exported.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Result;

    fn listed(text: &str) -> Result<String> {
        Ok(of(&Source::planted(text)?).to_string())
    }

    #[test]
    fn an_item_is_listed_once_under_its_shortest_name() -> Result<()> {
        let text = "mod a { pub mod b { pub fn f(x: &u8) -> (u8, u8) { (*x, 0) } } pub struct Hidden; }
            pub mod c { pub use crate::a::b; pub use super::a::b::f as g; }
            pub use c::*;
            pub use core::fmt::Debug;";
        let expected = [
            "planted::Debug: pub use core::fmt::Debug",
            "planted::b: pub mod b",
            "planted::b::f: pub use planted::g",
            "planted::c: pub mod c",
            "planted::c::b: pub use planted::b",
            "planted::c::b::f: pub use planted::g",
            "planted::c::g: pub use planted::g",
            "planted::g: pub fn f(x: &u8) -> (u8, u8)",
        ];
        assert_eq!(listed(text)?.lines().collect::<Vec<_>>(), expected);
        Ok(())
    }

    #[test]
    fn members_are_listed_below_their_item() -> Result<()> {
        let text = "#[derive(Debug, Clone)] #[must_use] pub struct S<T: Copy>(pub T, u8);
            pub enum E { #[doc = \"\"] A { x: u8 }, B(u8), }
            pub trait T: Clone { const N: usize; type I: Iterator; fn f(&self) -> u8 { 0 } fn g(); }";
        let expected = [
            "planted::E: pub enum E",
            "    A { x: u8 }",
            "    B(u8)",
            "planted::S: pub struct S<T: Copy>",
            "    #[derive(Clone, Debug)]",
            "    private fields",
            "    pub 0: T",
            "planted::T: pub trait T: Clone",
            "    const N: usize",
            "    fn f(&self) -> u8 = …",
            "    fn g()",
            "    type I: Iterator",
        ];
        assert_eq!(listed(text)?.lines().collect::<Vec<_>>(), expected);
        Ok(())
    }

    #[test]
    fn implementations_are_listed_with_their_type_or_trait() -> Result<()> {
        let text = "mod a {
                use super::{Public, S};
                trait Sealed {}
                impl Sealed for S {}
                impl<T> Public for &[T] {}
                impl<'a> From<&'a S> for u8 { fn from(_: &'a S) -> Self { 0 } }
                impl IntoIterator for S { type Item = u8; fn into_iter(self) -> Empty<u8> {} }
                impl S { pub const fn f(mut self) {} fn g() {} #[cfg(unix)] pub unsafe fn h() {} }
                impl S { fn private() {} }
            }
            pub struct S;
            pub trait Public {}";
        let expected = [
            "planted::Public: pub trait Public",
            "    impl<T> Public for &[T]",
            "planted::S: pub struct S",
            "    impl IntoIterator for S",
            "        type Item = u8",
            "    impl S",
            "        #[cfg(unix)] pub unsafe fn h()",
            "        pub const fn f(mut self)",
        ];
        assert_eq!(listed(text)?.lines().collect::<Vec<_>>(), expected);
        Ok(())
    }

    #[test]
    fn flags_and_conditions_are_listed() -> Result<()> {
        let text = "#[cfg(unix)] mod a { bitflags! { pub struct F: u8 { const A = 1; const _ = !0; } } }
            #[cfg(unix)] pub use a::F;
            #[cfg(test)] pub fn test() {}
            pub(crate) fn internal() {}";
        let expected = [
            "planted::F: #[cfg(unix)] pub struct F",
            "    impl F",
            "        pub const A: Self",
            "    impl bitflags::Flags for F",
            "        type Bits = u8",
            "    private fields",
        ];
        assert_eq!(listed(text)?.lines().collect::<Vec<_>>(), expected);
        Ok(())
    }
}
