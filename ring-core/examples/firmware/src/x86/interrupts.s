# The entry points for exceptions and interrupts: 48 stubs of 16 bytes, which all push their vector.
# Code runs with interrupts disabled except while it sleeps, so an interrupt never interrupts other
# code.

.section .text.interrupts, "ax", @progbits
    .balign 16
.globl interrupt_stubs
interrupt_stubs:
.set vector, 0
.rept 32
    .balign 16
    .byte 0x6a, vector              # push
    jmp exception
    .set vector, vector + 1
.endr
.rept 16
    .balign 16
    .byte 0x6a, vector              # push
    jmp interrupt
    .set vector, vector + 1
.endr
    .balign 16

exception:
    pop rdi
    and rsp, -16                    # the call does not return, so the stack can be realigned
    call {exception}
    ud2

interrupt:
    push rax
    mov rax, [rsp + 8]
    lock inc dword ptr [4 * rax + {taken} - 4 * 32]
    mov eax, 0xfee000b0             # the local interrupt controller: end of interrupt
    mov dword ptr [rax], 0
    pop rax
    add rsp, 8
    iretq
.text
