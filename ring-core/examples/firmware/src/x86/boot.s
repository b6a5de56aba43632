# The start-up code: from the PVH entry, in 32-bit mode without paging, to Rust in 64-bit mode.
#
# The memory that the firmware uses and the devices' registers are below 4 GiB. So the first 4 GiB are
# mapped to themselves, in pages of 2 MiB.

.section .note.pvh, "a", @note
    .balign 4
    .long 4                         # length of the name
    .long 8                         # length of the entry's address
    .long 18                        # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad start32

.section .text.boot, "ax", @progbits
.code32
.globl start32
start32:
    # ebx holds the address of the start info; loaders enter with interrupts disabled.
    mov esp, offset stack_end
    mov esi, ebx

    # The upper halves of the entries are zero, as the loader left them.
    mov edi, offset page_directories
    mov eax, 0x83                   # present, writable, 2 MiB
    mov ecx, 4 * 512
0:  mov [edi], eax
    add edi, 8
    add eax, 0x200000
    dec ecx
    jnz 0b

    mov edi, offset page_directory_pointers
    mov eax, offset page_directories
    or eax, 3                       # present, writable
    mov ecx, 4
0:  mov [edi], eax
    add edi, 8
    add eax, 0x1000
    dec ecx
    jnz 0b

    mov eax, offset page_directory_pointers
    or eax, 3
    mov edi, offset page_map
    mov [edi], eax
    mov cr3, edi

    mov eax, cr4
    or eax, 0x620                   # PAE; SSE and its exceptions, which compiled Rust uses
    mov cr4, eax
    mov ecx, 0xc0000080             # EFER
    rdmsr
    or eax, 0x100                   # long mode
    wrmsr
    mov eax, cr0
    and eax, 0xfffffffb             # no emulation of the coprocessor
    or eax, 0x80000002              # paging, and monitor the coprocessor
    mov cr0, eax

    lgdt [gdt_pointer]
    push 0x08
    mov eax, offset start64
    push eax
    retf

.code64
start64:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov edi, esi                    # also clears the upper half
    call {enter}
0:  cli
    hlt
    jmp 0b

.section .rodata.boot, "a", @progbits
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9a000000ffff        # code, 64-bit
    .quad 0x00cf92000000ffff        # data
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt

.section .bss.boot, "aw", @nobits
    .balign 4096
page_map:
    .skip 4096
page_directory_pointers:
    .skip 4096
page_directories:
    .skip 4 * 4096
    .skip 256 * 1024
stack_end:
.text
