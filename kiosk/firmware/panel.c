/* Reference firmware of the button panel: ATmega328P at 16 MHz (an Arduino Nano or Uno), 8N1 serial at 115200.
 *
 * Wiring: buttons 1..5 from PD2..PD6 to ground (internal pull-ups); their lamps on PB0..PB4, active buzzer on PC0, all high
 * active. Button 1 is the most satisfied. docs/panel.md has the frames.
 *
 * What always holds: a press stays in the queue and is repeated every 250 ms until $CEACK names it; lamps and buzzer
 * answer an acknowledgement, never a press, and are the same for every button. A full queue takes no press, so nothing
 * lights up. A button that is down at power-up counts only after it has been let go. The watchdog restarts a hung panel;
 * the queue then is lost, as nothing had told the citizen that the press counted.
 */
#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <util/atomic.h>

#define BUTTONS 5
#define BUTTON_MASK 0x7C /* PD2..PD6 */
#define LAMP_MASK 0x1F   /* PB0..PB4 */
#define DEBOUNCE_MS 20
#define REPEAT_MS 250
#define HEARTBEAT_MS 1000
#define ANSWER_LAMP_MS 1200
#define ANSWER_BEEP_MS 120
#define BLINK_MS 400
#define QUEUE 16
#define FRAME_LIMIT 82

/* ---- time: one tick a millisecond, and the debouncer in it --------------------------------------------------------- */

static volatile uint32_t ticks_ms;
static volatile uint8_t presses; /* bit i: button i + 1 went down and nobody has taken it yet */
static uint8_t stable_ms[BUTTONS];
static uint8_t down, armed;

ISR(TIMER0_COMPA_vect) {
    ticks_ms++;
    uint8_t raw = (uint8_t)(~PIND & BUTTON_MASK) >> 2;
    for (uint8_t i = 0; i < BUTTONS; i++) {
        uint8_t bit = 1 << i;
        if (((raw ^ down) & bit) == 0) {
            stable_ms[i] = 0;
        } else if (++stable_ms[i] >= DEBOUNCE_MS) {
            stable_ms[i] = 0;
            down ^= bit;
            if ((down & bit) == 0)
                armed |= bit;
            else if (armed & bit)
                presses |= bit;
        }
    }
}

static uint32_t now_ms(void) {
    uint32_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { now = ticks_ms; }
    return now;
}

/* ---- serial: two rings --------------------------------------------------------------------------------------------- */

static volatile uint8_t rx_ring[128], tx_ring[256];
static volatile uint8_t rx_in, rx_out, tx_in, tx_out; /* the transmit ring's indices wrap by themselves */

ISR(USART_RX_vect) {
    uint8_t byte = UDR0, next = (rx_in + 1) & 127;
    if (next != rx_out) {
        rx_ring[rx_in] = byte;
        rx_in = next;
    }
}

ISR(USART_UDRE_vect) {
    if (tx_in == tx_out)
        UCSR0B &= (uint8_t)~(1 << UDRIE0);
    else
        UDR0 = tx_ring[tx_out++];
}

static uint8_t tx_room(void) { return (uint8_t)(tx_out - tx_in - 1); }

static void tx_byte(uint8_t byte) {
    tx_ring[tx_in] = byte;
    tx_in++;
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

static char out[FRAME_LIMIT];
static uint8_t out_length;

static uint16_t crc16(const char *text, uint8_t length) { /* CRC-16/CCITT-FALSE */
    uint16_t crc = 0xFFFF;
    while (length--) {
        crc ^= (uint16_t)(uint8_t)*text++ << 8;
        for (uint8_t i = 0; i < 8; i++)
            crc = crc & 0x8000 ? (uint16_t)(crc << 1) ^ 0x1021 : crc << 1;
    }
    return crc;
}

static char hex_digit(uint8_t value) { return value < 10 ? '0' + value : 'A' + value - 10; }

static void put_char(char c) { out[out_length++] = c; }

static void put_text(const char *text) {
    while (*text)
        put_char(*text++);
}

static void put_hex(uint32_t value, uint8_t digits) {
    while (digits--)
        put_char(hex_digit((value >> (4 * digits)) & 15));
}

static void put_number(uint32_t value) {
    char digits[10];
    uint8_t count = 0;
    do {
        digits[count++] = '0' + value % 10;
        value /= 10;
    } while (value);
    while (count--)
        put_char(digits[count]);
}

/* Send what stands in `out`, whole or not at all: half a frame helps nobody, and everything is repeated. */
static bool send_frame(void) {
    if (tx_room() < out_length + 8)
        return false;
    uint16_t crc = crc16(out, out_length);
    tx_byte('$');
    for (uint8_t i = 0; i < out_length; i++)
        tx_byte(out[i]);
    tx_byte('*');
    for (int8_t shift = 12; shift >= 0; shift -= 4)
        tx_byte(hex_digit((crc >> shift) & 15));
    tx_byte('\r');
    tx_byte('\n');
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) { UCSR0B |= 1 << UDRIE0; }
    return true;
}

static void begin(const char *name) {
    out_length = 0;
    put_text(name);
}

/* ---- who we are: an id for ever, and a boot number that is new at each power-up ------------------------------------- */

#define ID_LENGTH 9
static uint8_t EEMEM stored_mark;
static char EEMEM stored_id[ID_LENGTH + 1];
static uint16_t EEMEM stored_boots;
static char panel_id[ID_LENGTH + 1];
static uint32_t boot;

static uint16_t noise(void) { /* the lowest bits of a floating input, stirred */
    uint16_t stirred = 0xACE1;
    ADMUX = (1 << REFS0) | 5;
    ADCSRA = (1 << ADEN) | (1 << ADPS2) | (1 << ADPS1) | (1 << ADPS0);
    for (uint8_t i = 0; i < 32; i++) {
        ADCSRA |= 1 << ADSC;
        while (ADCSRA & (1 << ADSC))
            ;
        stirred = (stirred << 1 | stirred >> 15) ^ ADC ^ TCNT0;
    }
    ADCSRA = 0;
    return stirred;
}

static void know_thyself(void) {
    uint16_t random = noise();
    if (eeprom_read_byte(&stored_mark) != 0xCE) {
        out_length = 0;
        put_char('P');
        put_hex(((uint32_t)random << 16) | noise(), 8);
        out[out_length] = 0;
        eeprom_update_block(out, stored_id, ID_LENGTH + 1);
        eeprom_update_word(&stored_boots, 0);
        eeprom_update_byte(&stored_mark, 0xCE);
    }
    eeprom_read_block(panel_id, stored_id, ID_LENGTH + 1);
    uint16_t boots = eeprom_read_word(&stored_boots) + 1;
    eeprom_update_word(&stored_boots, boots);
    boot = ((uint32_t)boots << 16) | random; /* the counter makes it new, the noise guards a worn EEPROM */
}

static void say_hello(void) {
    begin("CEHEL,1,");
    put_text(panel_id);
    put_char(',');
    put_hex(boot, 8);
    put_char(',');
    put_number(BUTTONS);
    send_frame();
}

/* ---- presses ------------------------------------------------------------------------------------------------------- */

static struct {
    uint32_t seq, pressed_ms, sent_ms;
    uint8_t button; /* 0: free */
} queue[QUEUE];
static uint32_t last_seq;

static void send_press(uint8_t at) {
    begin("CEBTN,");
    put_hex(boot, 8);
    put_char(',');
    put_number(queue[at].seq);
    put_char(',');
    put_number(queue[at].button);
    put_char(',');
    put_number(now_ms() - queue[at].pressed_ms);
    if (send_frame())
        queue[at].sent_ms = now_ms();
}

static void take_presses(void) {
    uint8_t taken;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE) {
        taken = presses;
        presses = 0;
    }
    for (uint8_t button = 1; button <= BUTTONS; button++) {
        if ((taken & (1 << (button - 1))) == 0)
            continue;
        for (uint8_t i = 0; i < QUEUE; i++) {
            if (queue[i].button)
                continue;
            queue[i].seq = ++last_seq;
            queue[i].button = button;
            queue[i].pressed_ms = now_ms();
            send_press(i);
            break;
        }
    }
}

static void repeat_presses(void) {
    for (uint8_t i = 0; i < QUEUE; i++)
        if (queue[i].button && now_ms() - queue[i].sent_ms >= REPEAT_MS)
            send_press(i);
}

/* ---- lamps and buzzer ---------------------------------------------------------------------------------------------- */

static uint8_t lamp_mask, lamp_mode;
static uint32_t answered_ms;
static bool answering;

static void show(void) {
    uint32_t since = now_ms() - answered_ms;
    if (answering && since >= ANSWER_LAMP_MS)
        answering = false;
    uint8_t lamps = 0;
    if (answering)
        lamps = LAMP_MASK;
    else if (lamp_mode == 1 || (lamp_mode == 2 && (now_ms() / BLINK_MS) % 2 == 0))
        lamps = lamp_mask & LAMP_MASK;
    PORTB = (PORTB & (uint8_t)~LAMP_MASK) | lamps;
    if (answering && since < ANSWER_BEEP_MS)
        PORTC |= 1 << PC0;
    else
        PORTC &= (uint8_t)~(1 << PC0);
}

/* ---- what the kiosk says ------------------------------------------------------------------------------------------- */

static bool read_number(const char **text, uint32_t *value) {
    const char *at = *text;
    *value = 0;
    while (*at >= '0' && *at <= '9')
        *value = *value * 10 + (uint32_t)(*at++ - '0');
    bool any = at != *text;
    *text = at;
    return any;
}

static bool read_hex8(const char **text, uint32_t *value) {
    *value = 0;
    for (uint8_t i = 0; i < 8; i++) {
        char c = *(*text)++;
        if (c >= '0' && c <= '9')
            *value = *value << 4 | (uint32_t)(c - '0');
        else if (c >= 'A' && c <= 'F')
            *value = *value << 4 | (uint32_t)(c - 'A' + 10);
        else
            return false;
    }
    return true;
}

static void obey(const char *body) {
    uint32_t first, second;
    if (strcmp(body, "CEWHO") == 0) {
        say_hello();
    } else if (strncmp(body, "CEACK,", 6) == 0) {
        body += 6;
        if (!read_hex8(&body, &first) || first != boot || *body++ != ',' || !read_number(&body, &second) || *body)
            return;
        for (uint8_t i = 0; i < QUEUE; i++) {
            if (queue[i].button && queue[i].seq == second) {
                queue[i].button = 0;
                answering = true;
                answered_ms = now_ms();
            }
        }
    } else if (strncmp(body, "CELED,", 6) == 0) {
        body += 6;
        if (!read_number(&body, &first) || *body++ != ',' || !read_number(&body, &second) || *body || second > 2)
            return;
        lamp_mask = (uint8_t)first;
        lamp_mode = (uint8_t)second;
    }
}

static char in[FRAME_LIMIT + 1];
static uint8_t in_length;

static uint8_t hex_value(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 255; }

static void end_of_line(void) {
    if (in_length < 7 || in[0] != '$' || in[in_length - 5] != '*')
        return;
    uint16_t sum = 0;
    for (uint8_t i = in_length - 4; i < in_length; i++) {
        uint8_t value = hex_value(in[i]);
        if (value > 15)
            return;
        sum = sum << 4 | value;
    }
    if (crc16(in + 1, in_length - 6) != sum)
        return;
    in[in_length - 5] = 0;
    obey(in + 1);
}

static void listen(void) {
    while (rx_out != rx_in) {
        char c = (char)rx_ring[rx_out];
        rx_out = (rx_out + 1) & 127;
        if (c == '$')
            in_length = 0;
        if (c == '\n') {
            end_of_line();
            in_length = 0;
        } else if (c != '\r' && in_length < FRAME_LIMIT) {
            in[in_length++] = c;
        }
    }
}

int main(void) {
    MCUSR = 0;
    wdt_enable(WDTO_500MS);
    PORTD = BUTTON_MASK;
    DDRB = LAMP_MASK;
    DDRC = 1 << PC0;
    TCCR0A = 1 << WGM01; /* CTC: 16 MHz / 64 / 250 = 1 kHz */
    TCCR0B = (1 << CS01) | (1 << CS00);
    OCR0A = 249;
    TIMSK0 = 1 << OCIE0A;
    know_thyself();
    UCSR0A = 1 << U2X0;
    UBRR0 = 16; /* 117647 baud, 2.1 % off 115200: within what both ends bear */
    UCSR0C = (1 << UCSZ01) | (1 << UCSZ00);
    UCSR0B = (1 << RXEN0) | (1 << TXEN0) | (1 << RXCIE0);
    armed = (PIND & BUTTON_MASK) >> 2; /* high is up: only buttons that are up may be pressed */
    sei();
    say_hello();
    uint32_t beat_ms = now_ms(), fed_ms = beat_ms;
    for (;;) {
        uint32_t now = now_ms();
        if (now != fed_ms) { /* fed by the passing of time: a stopped tick starves it */
            fed_ms = now;
            wdt_reset();
        }
        listen();
        take_presses();
        repeat_presses();
        show();
        if (now - beat_ms >= HEARTBEAT_MS) {
            beat_ms += HEARTBEAT_MS;
            begin("CEHB,");
            put_hex(boot, 8);
            put_char(',');
            put_number(now / 1000);
            send_frame();
        }
    }
}
