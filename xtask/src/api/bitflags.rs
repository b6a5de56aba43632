//! The items that `bitflags!` defines.

use anyhow::Result;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Ident, Item, Macro, Token, Type, Visibility, braced, parse_quote};

/// The structs in one invocation.
struct Structs(Vec<Struct>);

struct Struct {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    name: Ident,
    bits: Type,
    flags: Punctuated<Flag, Token![;]>,
}

struct Flag {
    attributes: Vec<Attribute>,
    name: Ident,
}

/// Returns the struct, its flags, and the trait that has the other methods.
pub(super) fn expanded(invocation: &Macro) -> Result<Vec<Item>> {
    let Structs(structs) = invocation.parse_body()?;
    Ok(structs.into_iter().flat_map(Struct::items).collect())
}

impl Struct {
    fn items(self) -> [Item; 3] {
        let Self { attributes, visibility, name, bits, flags } = self;
        let flags = flags
            .into_iter()
            .filter(|flag| flag.name != "_")
            .map(|Flag { attributes, name }| quote!(#(#attributes)* pub const #name: Self = Self(0);));
        [
            parse_quote!(#(#attributes)* #visibility struct #name(#bits);),
            parse_quote!(impl #name { #(#flags)* }),
            parse_quote!(impl bitflags::Flags for #name { type Bits = #bits; }),
        ]
    }
}

impl Parse for Structs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut structs = Vec::new();
        while !input.is_empty() {
            structs.push(input.parse()?);
        }
        Ok(Self(structs))
    }
}

impl Parse for Struct {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        input.parse::<Token![struct]>()?;
        let name = input.parse()?;
        input.parse::<Token![:]>()?;
        let bits = input.parse()?;
        let flags;
        braced!(flags in input);
        let flags = flags.parse_terminated(Flag::parse, Token![;])?;
        Ok(Self { attributes, visibility, name, bits, flags })
    }
}

impl Parse for Flag {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        input.parse::<Token![const]>()?;
        // `_` stands for bits without a name.
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        input.parse::<Expr>()?;
        Ok(Self { attributes, name })
    }
}
