// Synchronous RAM with one write port and one read port.
//
// read_data takes the word at read_address when read_en is high, LATENCY cycles later, and keeps it until the next read.
// A word that is read in the cycle it is written is undefined, and its old value in simulation: block RAMs differ, and
// no_rw_check keeps Yosys from building one kind out of another.
// LATENCY 2 adds the register behind the array that block RAMs have in them. PARTS: parts of a word, each with a strobe
// of its own. STYLE goes to the synthesis tool ("auto", "block", "ultra", "distributed").
module triovit_ram #(
    parameter WIDTH = 64,
    parameter DEPTH = 1024,
    parameter ADDRESS_BITS = 10,
    parameter LATENCY = 1,
    parameter PARTS = 1,
    parameter STYLE = "auto"
) (
    input  wire                    clk,
    input  wire [PARTS-1:0]        write_en,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [WIDTH-1:0]        write_data,
    input  wire                    read_en,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output wire [WIDTH-1:0]        read_data
);
    localparam PART = WIDTH / PARTS;

    (* ram_style = STYLE, no_rw_check *)
    reg [WIDTH-1:0] memory [0:DEPTH-1];
    reg [WIDTH-1:0] array_data;
    integer part;

    always @(posedge clk) begin
        for (part = 0; part < PARTS; part = part + 1)
            if (write_en[part])
                memory[write_address][part*PART +: PART] <= write_data[part*PART +: PART];
        if (read_en)
            array_data <= memory[read_address];
    end

    generate
        if (LATENCY == 2) begin : output_register
            reg [WIDTH-1:0] output_data;
            always @(posedge clk)
                output_data <= array_data;
            assign read_data = output_data;
        end else begin : no_output_register
            assign read_data = array_data;
        end
    endgenerate
endmodule
