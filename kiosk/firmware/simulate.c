/* The panel's firmware in simavr, its serial line on a pty: simulate panel.elf EEPROM_FILE
 *
 * The chip runs in real time. EEPROM_FILE keeps the EEPROM between runs, as the chip would. Standard input takes a line
 * each: `down N`, `up N` (button), `cycle` (power off and on), `hold N` (down at the next power-up), `quit`. Standard
 * output says `pty PATH`, `lamps MASK`, `buzzer 0|1`, `power N`, a line each. It ends when its standard input does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define EEPROM_SIZE 1024
#define BUTTONS 5

static int line;
static bool may_send = true;
static unsigned lamps, lamps_said;
static const char *eeprom_path;
static unsigned held; /* a button that is down already when the power comes */

static void said(const char *what, unsigned value) {
    printf("%s %u\n", what, value);
    fflush(stdout);
}

static void on_byte(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)param;
    uint8_t byte = (uint8_t)value;
    while (write(line, &byte, 1) < 0 && errno == EINTR) /* a full pty loses bytes, as a line nobody reads does */
        ;
}

static void on_xon(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    may_send = true;
}

static void on_xoff(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    may_send = false;
}

static void on_lamp(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq;
    unsigned bit = 1u << (unsigned)(size_t)param;
    lamps = value ? lamps | bit : lamps & ~bit; /* said once a millisecond: a port's pins change one by one here */
}

static void on_buzzer(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)param;
    static unsigned before;
    if (value != before)
        said("buzzer", before = value);
}

static void button(avr_t *avr, unsigned number, bool down) {
    if (number >= 1 && number <= BUTTONS)
        avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), (int)number + 1), down ? 0 : 1);
}

static void eeprom(avr_t *avr, bool load) {
    uint8_t bytes[EEPROM_SIZE];
    avr_eeprom_desc_t all = {.ee = bytes, .offset = 0, .size = EEPROM_SIZE};
    int file = open(eeprom_path, load ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0)
        return;
    if (load && read(file, bytes, EEPROM_SIZE) == EEPROM_SIZE)
        avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &all);
    if (!load) {
        all.ee = NULL; /* simavr then points at its own bytes */
        avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &all);
        if (all.ee == NULL || write(file, all.ee, EEPROM_SIZE) != EEPROM_SIZE)
            fprintf(stderr, "simulate: the EEPROM could not be kept\n");
    }
    close(file);
}

static avr_t *power_on(elf_firmware_t *firmware) {
    static unsigned times;
    avr_t *avr = avr_make_mcu_by_name("atmega328p");
    if (!avr)
        exit(1);
    avr_init(avr);
    avr_load_firmware(avr, firmware);
    avr->frequency = 16000000;
    avr->log = LOG_NONE;
    eeprom(avr, true);
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_byte, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_xon, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_xoff, NULL);
    for (size_t i = 0; i < BUTTONS; i++)
        avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), (int)i), on_lamp, (void *)i);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('C'), 0), on_buzzer, NULL);
    for (unsigned i = 1; i <= BUTTONS; i++)
        button(avr, i, i == held);
    held = 0;
    may_send = true;
    lamps = lamps_said = 0;
    said("power", ++times);
    return avr;
}

static int open_pty(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) || unlockpt(master)) {
        perror("simulate: pty");
        exit(1);
    }
    /* Hold the other end open, so that a kiosk that goes away does not hang the line up. */
    int held = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct termios raw;
    tcgetattr(held, &raw);
    cfmakeraw(&raw);
    tcsetattr(held, TCSANOW, &raw);
    printf("pty %s\n", ptsname(master));
    fflush(stdout);
    return master;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One line of standard input; false at its end or at `quit`. Sets *cycle where the power is to be cycled. */
static bool obey(avr_t *avr, bool *cycle) {
    static char text[128];
    static size_t length;
    ssize_t got = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN);
    length += (size_t)got;
    text[length] = 0;
    char *end;
    while ((end = strchr(text, '\n'))) {
        unsigned number;
        *end = 0;
        if (sscanf(text, "down %u", &number) == 1)
            button(avr, number, true);
        else if (sscanf(text, "up %u", &number) == 1)
            button(avr, number, false);
        else if (sscanf(text, "hold %u", &number) == 1)
            held = number;
        else if (strcmp(text, "cycle") == 0)
            *cycle = true;
        else if (strcmp(text, "quit") == 0)
            return false;
        memmove(text, end + 1, strlen(end + 1) + 1);
        length = strlen(text);
    }
    return length < sizeof text - 1;
}

/* simavr's own log goes to standard output, where ours stands. */
static void quiet(struct avr_t *avr, const int level, const char *format, va_list values) {
    (void)avr;
    if (level <= LOG_ERROR)
        vfprintf(stderr, format, values);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s panel.elf EEPROM_FILE\n", arguments[0]);
        return 2;
    }
    eeprom_path = arguments[2];
    avr_global_logger_set(quiet);
    elf_firmware_t firmware = {0};
    if (elf_read_firmware(arguments[1], &firmware)) {
        fprintf(stderr, "simulate: cannot read %s\n", arguments[1]);
        return 1;
    }
    line = open_pty();
    avr_t *avr = power_on(&firmware);
    double started = seconds();
    bool cycle = false;
    for (;;) {
        avr_cycle_count_t until = avr->cycle + 16000; /* a millisecond */
        while (avr->cycle < until) {
            int state = avr_run(avr);
            if (state == cpu_Done || state == cpu_Crashed) {
                fprintf(stderr, "simulate: the chip stopped in state %d\n", state);
                return 1;
            }
        }
        if (lamps != lamps_said)
            said("lamps", lamps_said = lamps);
        uint8_t byte;
        while (may_send && read(line, &byte, 1) == 1)
            avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT), byte);
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&input, 1, 0) > 0 && !obey(avr, &cycle))
            break;
        if (cycle) {
            cycle = false;
            eeprom(avr, false);
            avr_terminate(avr);
            avr = power_on(&firmware);
            started = seconds();
        }
        double ahead = (double)avr->cycle / 16e6 - (seconds() - started);
        if (ahead > 0)
            usleep((useconds_t)(ahead * 1e6));
    }
    eeprom(avr, false);
    return 0;
}
