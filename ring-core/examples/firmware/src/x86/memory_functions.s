# memcpy, memmove, memset, memcmp, bcmp and strlen, in as little code as possible.

.macro function name
    .section .text.\name, "ax", @progbits
    .globl \name
    .type \name, @function
\name:
.endm

.macro endfunction name
    .size \name, . - \name
.endm

function memcpy
    mov rax, rdi
    mov rcx, rdx
    rep movsb
    ret
endfunction memcpy

function memmove
    mov rax, rdi
    mov rcx, rdx
    mov r8, rdi
    sub r8, rsi
    cmp r8, rdx
    jb 0f                           # the destination starts inside the source
    rep movsb
    ret
0:  lea rdi, [rdi + rdx - 1]
    lea rsi, [rsi + rdx - 1]
    std
    rep movsb
    cld
    ret
endfunction memmove

function memset
    mov r8, rdi
    mov eax, esi
    mov rcx, rdx
    rep stosb
    mov rax, r8
    ret
endfunction memset

function memcmp
    xor eax, eax
    xor ecx, ecx
0:  cmp rcx, rdx
    je 1f
    movzx eax, byte ptr [rdi + rcx]
    movzx r8d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r8d
    je 0b
1:  ret
endfunction memcmp

function strlen
    mov rax, -1
0:  inc rax
    cmp byte ptr [rdi + rax], 0
    jne 0b
    ret
endfunction strlen

.globl bcmp
.set bcmp, memcmp
.text
