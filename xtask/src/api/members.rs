//! The lines below an item: fields, variants, and the items that a trait requires.

use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Field, Fields, Item, Path, Token, TraitItem};

use super::listing::Listing;
use super::source::{is_public, parts};
use super::text::{ATTRIBUTES, kept, text};

/// Adds the members and the derived traits of an item.
pub(super) fn list(item: &Item, listing: &mut Listing) {
    match item {
        Item::Struct(it) => fields(&it.fields, listing),
        Item::Enum(it) => it.variants.iter().for_each(|variant| {
            let (name, fields, value) = (&variant.ident, &variant.fields, &variant.discriminant);
            let value = value.as_ref().map(|(equals, value)| quote!(#equals #value));
            let fields = without_attributes(fields);
            listing.at(format!(
                "{}{}",
                kept(&variant.attrs, &ATTRIBUTES),
                text(quote!(#name #fields #value))
            ));
        }),
        Item::Trait(it) => it.items.iter().for_each(|item| {
            listing.at(required(item));
        }),
        _ => {}
    }
    let mut derived: Vec<String> =
        parts(item).into_iter().flat_map(|parts| derived(parts.attributes)).map(text).collect();
    derived.sort();
    if !derived.is_empty() {
        listing.at(format!("#[derive({})]", derived.join(", ")));
    }
}

fn fields(fields: &Fields, listing: &mut Listing) {
    let (public, private): (Vec<_>, Vec<_>) =
        fields.iter().enumerate().partition(|(_, field)| is_public(&field.vis));
    for (index, Field { attrs, ident, ty, .. }) in public {
        let name = ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
        listing.at(format!("{}pub {name}: {}", kept(attrs, &ATTRIBUTES), text(ty)));
    }
    if !private.is_empty() {
        listing.at("private fields");
    }
}

fn without_attributes(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.iter_mut().for_each(|field| field.attrs.clear());
    fields
}

/// Returns an item of a trait without its body. `…` stands for a default.
fn required(item: &TraitItem) -> String {
    let (attributes, signature, default) = match item {
        TraitItem::Const(it) => {
            let (name, ty) = (&it.ident, &it.ty);
            (&it.attrs, quote!(const #name: #ty), it.default.is_some())
        }
        TraitItem::Fn(it) => {
            let signature = &it.sig;
            (&it.attrs, quote!(#signature), it.default.is_some())
        }
        TraitItem::Type(it) => {
            let (name, generics, colon, bounds) = (&it.ident, &it.generics, &it.colon_token, &it.bounds);
            let wheres = &generics.where_clause;
            (&it.attrs, quote!(type #name #generics #colon #bounds #wheres), it.default.is_some())
        }
        other => return text(other),
    };
    let default = if default { " = …" } else { "" };
    format!("{}{}{default}", kept(attributes, &ATTRIBUTES), text(signature))
}

fn derived(attributes: &[Attribute]) -> impl Iterator<Item = Path> {
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    let lists = derives
        .filter_map(|derive| derive.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok());
    lists.flatten()
}
