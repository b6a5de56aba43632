//! The lines below a type or a trait: the implementations.

use quote::quote;
use syn::{ImplItem, Item, ItemImpl, Path, Type};

use super::listing::Listing;
use super::public::Public;
use super::source::{Names, Source, is_public};
use super::text::{ATTRIBUTES, kept, text};

/// Adds the implementations that are listed with `definition`.
pub(super) fn list(source: &Source, public: &Public, definition: &Names, listing: &mut Listing) {
    for (module, items) in &source.modules {
        for item in items {
            if let Item::Impl(block) = item
                && owner(source, public, module, block).as_ref() == Some(definition)
            {
                add(block, listing);
            }
        }
    }
}

/// Returns the definition with which an implementation is listed: its type, or its trait if the
/// type belongs to another crate. Returns `None` if the type or the trait is private.
fn owner(source: &Source, public: &Public, module: &[String], block: &ItemImpl) -> Option<Names> {
    let resolved = |path: &Path| {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        source.resolve(module, &names)
    };
    let of_type = named(&block.self_ty).and_then(resolved);
    let of_trait = block.trait_.as_ref().and_then(|(path, _)| resolved(path));
    let reachable = of_type.iter().chain(&of_trait).all(|names| public.items.contains_key(names));
    of_type.or(of_trait).filter(|_| reachable)
}

/// Returns the path of a type. For a reference, returns the path of the type that it refers to.
fn named(ty: &Type) -> Option<&Path> {
    match ty {
        Type::Path(path) => Some(&path.path),
        Type::Reference(reference) => named(&reference.elem),
        _ => None,
    }
}

fn add(block: &ItemImpl, listing: &mut Listing) {
    let (safety, generics, ty) = (&block.unsafety, &block.generics, &block.self_ty);
    let bounds = &generics.where_clause;
    let of_trait = block.trait_.as_ref().map(|(path, token)| quote!(#path #token));
    let lines: Vec<String> = block.items.iter().filter_map(|item| line(item, of_trait.is_some())).collect();
    if lines.is_empty() && of_trait.is_none() {
        return;
    }
    let head = text(quote!(#safety impl #generics #of_trait #ty #bounds));
    let below = listing.at(format!("{}{head}", kept(&block.attrs, &ATTRIBUTES)));
    for line in lines {
        below.at(line);
    }
}

/// Returns the line of an item. In a trait's implementation, only types can differ from the trait.
fn line(item: &ImplItem, of_trait: bool) -> Option<String> {
    let (attributes, signature) = match item {
        ImplItem::Fn(it) if !of_trait && is_public(&it.vis) => {
            let signature = &it.sig;
            (&it.attrs, quote!(pub #signature))
        }
        ImplItem::Const(it) if !of_trait && is_public(&it.vis) => {
            let (name, ty) = (&it.ident, &it.ty);
            (&it.attrs, quote!(pub const #name: #ty))
        }
        ImplItem::Type(it) if of_trait => {
            let (name, generics, ty) = (&it.ident, &it.generics, &it.ty);
            (&it.attrs, quote!(type #name #generics = #ty))
        }
        _ => return None,
    };
    Some(format!("{}{}", kept(attributes, &ATTRIBUTES), text(signature)))
}
